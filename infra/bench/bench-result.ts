/** What a benchmark prints as its last line. */
export interface BenchResult {
	name: string;
	figures: Record<string, number>;
}
