/** A real server for the tests: one that was started here, or one whose URL the environment gave. */
export interface Service {
	/** As the configuration wants it. */
	url: string;
	/** What it says it is. */
	version: string;
	/** Ends it; a server of the environment stays. */
	stop(): Promise<void>;
}
