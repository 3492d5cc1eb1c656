/** Where the offline store keeps its files: a directory or a bucket. Keys are paths with `/`, without a leading one. */
export interface FileStore {
	/** Names the place to people; never with a secret. */
	readonly place: string;
	/** Whole and durable when it resolves, or as it was before. */
	write(key: string, bytes: Uint8Array): Promise<void>;
	/** The file's bytes; undefined when it is not there. */
	read(key: string): Promise<Uint8Array | undefined>;
	/** One that is not there is removed already. */
	remove(key: string): Promise<void>;
	/** All keys that begin with `prefix`, ascending by code unit. */
	list(prefix: string): Promise<string[]>;
}
