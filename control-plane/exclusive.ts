/** Runs one piece of work after another, in the order of the calls; one that fails does not stop those behind it. */
export function createExclusive(): <T>(work: () => Promise<T>) => Promise<T> {
	let last: Promise<unknown> = Promise.resolve();
	return (work) => {
		const mine = last.then(work, work);
		last = mine.catch(() => undefined);
		return mine;
	};
}
