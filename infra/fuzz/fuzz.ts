import { Agent } from 'node:http';
import type { Instance } from '../instance.ts';
import { dice } from './dice.ts';
import { createJudge } from './judge.ts';
import { makeRequest } from './make-request.ts';
import { type Door, type OpenApi, type Operation, operationsOf } from './operation.ts';
import { send } from './send.ts';

/** What one call of a door answered. */
export interface CallTally {
	door: Door;
	method: string;
	path: string;
	requests: number;
	/** 2xx */
	answered: number;
	/** 4xx */
	refused: number;
	/** 503 with Retry-After, by their detail. */
	unavailable: Record<string, number>;
	/** Cut by the HTTP parser without an answer, where it may. */
	cut: number;
}

export interface Finding {
	/** With the seed this is the whole request. */
	number: number;
	request: string;
	what: string[];
	answer: string;
}

export interface FuzzReport {
	seed: number;
	requests: number;
	calls: CallTally[];
	findings: Finding[];
}

const IN_FLIGHT = 8;
const WITHIN_MS = 20_000;
const ROLES = ['client', 'producer', 'viewer', 'analyst', 'author', 'operator', 'admin', 'approver'] as const;

/**
 * Sends seeded requests to every call that the doors' own documents name, and judges every answer. Requests differ by their number alone, so a seed and a
 * number are a request; the doors' state is what the requests before it made of it.
 */
export async function fuzz(
	product: Pick<Instance, 'urls' | 'token' | 'call'>,
	options: { seed: number; requests: number; doors: readonly Door[]; onProgress?: (done: number) => void },
): Promise<FuzzReport> {
	const { seed, requests, doors, onProgress = () => undefined } = options;
	const tokens = Object.fromEntries(await Promise.all(ROLES.map(async (role) => [role, await product.token(role)] as const)));
	const body = { region_id: 'sg-central', product_type: 'standard_ride' };
	const decided = await Promise.all(Array.from({ length: 5 }, () => product.call('edge', 'POST', '/api/v1/price', { role: 'client', body })));
	const known = { tokens, decisions: decided.map(({ json }) => json.decision_id as string) };
	const opened = await Promise.all(
		doors.map(async (door) => {
			const document = (await (await fetch(`${product.urls[door]}/openapi.json`)).json()) as OpenApi;
			return { operations: operationsOf(door, document), judge: createJudge(door, document) };
		}),
	);
	const targets = opened.flatMap(({ operations, judge }) => operations.map((operation) => ({ operation, judge, tally: newTally(operation) })));
	// What takes a token has more to get wrong than the rest.
	const turns = targets.flatMap((target) => (target.operation.role === null ? [target] : [target, target, target]));
	const findings: Finding[] = [];
	const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
	let next = 0;
	const work = async (): Promise<void> => {
		for (let number = next++; number < requests; number = next++) {
			const { operation, judge, tally } = turns[number % turns.length]!;
			const request = makeRequest(operation, { dice: dice(seed * 1_000_003 + number), known });
			const answer = await send(product.urls[operation.door], request, { agent, within_ms: WITHIN_MS });
			tally.requests += 1;
			if (answer instanceof Error) tally.cut += 1;
			else if (answer.status < 300) tally.answered += 1;
			else if (answer.status < 500) tally.refused += 1;
			else if (answer.status === 503) {
				const detail = (JSON.parse(answer.text || '{}') as { detail?: string }).detail ?? '';
				tally.unavailable[detail] = (tally.unavailable[detail] ?? 0) + 1;
			}
			const what = judge(request, answer);
			if (what.length > 0)
				findings.push({
					number,
					request: `${operation.door} ${request.method} ${request.target.slice(0, 200)} (${request.kind.join(', ') || 'valid'}) ${request.body?.toString('utf8').slice(0, 300) ?? ''}`,
					what,
					answer: answer instanceof Error ? answer.message : `${answer.status} ${answer.text.slice(0, 500)}`,
				});
			onProgress(number + 1);
		}
	};
	await Promise.all(Array.from({ length: IN_FLIGHT }, work));
	agent.destroy();
	return { seed, requests, calls: targets.map(({ tally }) => tally), findings };
}

const newTally = ({ door, method, path }: Operation): CallTally => ({ door, method, path, requests: 0, answered: 0, refused: 0, unavailable: {}, cut: 0 });
