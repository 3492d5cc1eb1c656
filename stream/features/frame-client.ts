import type { Frame, FrameAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';

/** Where frames go: the edge's /internal door. */
export interface FrameClient {
	/** Sends frames (of one partition in order; partitions side by side). @throws when the edge does not answer. */
	push(frames: readonly Frame[]): Promise<FrameAnswer[]>;
}

/** @param options.token gives a token of role service. */
export function frameClient(options: { url: string; token: () => Promise<string> }): FrameClient {
	return {
		async push(frames) {
			const answer = await fetch(`${options.url}/internal/frames`, {
				method: 'POST',
				headers: { authorization: `Bearer ${await options.token()}`, 'content-type': 'application/json' },
				body: JSON.stringify({ frames }),
				signal: AbortSignal.timeout(limits.frame_push_ms),
			});
			const text = await answer.text();
			if (!answer.ok) throw new Error(`Cannot push frames: the edge answers ${answer.status} ${text.slice(0, 200)}`);
			return (JSON.parse(text) as { results: FrameAnswer[] }).results; // of our own other process
		},
	};
}
