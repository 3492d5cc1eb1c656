/** What `promise` gives, or undefined when it takes longer than `ms` or fails. The promise goes on: hand it to waitUntil. */
export async function patience<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
	let timer: ReturnType<typeof setTimeout> | null = null;
	const late = new Promise<undefined>((resolve) => {
		timer = setTimeout(() => resolve(undefined), ms);
	});
	try {
		return await Promise.race([promise.catch(() => undefined), late]);
	} finally {
		clearTimeout(timer);
	}
}
