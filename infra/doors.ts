// The product's doors as its clients see them, for tests and benchmarks from outside.
import { mintToken, openKeys } from '#control-plane/keys.ts';
import type { Role } from '#schemas/role.ts';

export interface Answered {
	status: number;
	// Answers of the product's own doors: the tests that read them say what they expect.
	// biome-ignore lint/suspicious/noExplicitAny: JSON of any door
	json: any;
	text: string;
}

/** The product's doors, as its clients see them. */
export interface Doors {
	urls: { edge: string; control: string; ingest: string };
	token(role: Exclude<Role, 'service'>, subject?: string): Promise<string>;
	/** Sends JSON under a role; reads JSON. */
	call(door: keyof Doors['urls'], method: string, path: string, options?: { role?: Exclude<Role, 'service'>; body?: unknown }): Promise<Answered>;
}

/** The doors at these URLs. @param keysDir the deployment's keys.json. */
export function openDoors(urls: Doors['urls'], keysDir: string): Doors {
	const tokens = new Map<string, string>();
	const doors: Doors = {
		urls,
		async token(role, subject = `test-${role}`) {
			const held = tokens.get(role + subject) ?? (await mintToken(openKeys(keysDir), { role, subject, ttl_seconds: 3600, audience: 'surgecast' }));
			tokens.set(role + subject, held);
			return held;
		},
		async call(door, method, path, { role, body } = {}) {
			const answer = await fetch(urls[door] + path, {
				method,
				headers: {
					...(role ? { authorization: `Bearer ${await doors.token(role)}` } : {}),
					...(body === undefined ? {} : { 'content-type': 'application/json' }),
				},
				...(body === undefined ? {} : { body: JSON.stringify(body) }),
				signal: AbortSignal.timeout(20_000),
			});
			const text = await answer.text();
			let json: unknown;
			try {
				json = JSON.parse(text);
			} catch {
				json = undefined;
			}
			return { status: answer.status, json, text };
		},
	};
	return doors;
}
