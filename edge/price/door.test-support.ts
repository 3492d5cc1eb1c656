// The clients' door under test: a cold isolate, the real objects behind it, and stand-ins for what fails.
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { vi } from 'vitest';
import type { DecisionBatch } from '#schemas/decision.ts';
import type { RefreshQuestion } from '#schemas/internal.ts';
import { partition } from '#schemas/partition.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import type { Problem } from '#schemas/problem.ts';
import type { Region } from '#schemas/region.ts';
import type { OutboxStanding } from '../shard/outbox.ts';
import { clientToken, entry, frame, newRegion, partitions, signedRelease } from '../test-support.ts';
import type { PriceEnvironment } from './environment.ts';

export const real = env as unknown as PriceEnvironment & { INGESTION: Fetcher };
export const shardOf = (regionId: string) => real.SHARD.getByName(`shard/${partition(regionId, partitions)}`);

export interface Called {
	response: Response;
	status: number;
	text: string;
	/** Of a 200 of /price. */
	price: PriceAnswer;
	problem: Problem;
}

export interface Isolate {
	/** A request through the door; what it left to waitUntil has ended when this resolves, unless `background` is asked for. */
	call(method: string, path: string, options?: CallOptions): Promise<Called>;
	price(regionId: string, options?: CallOptions): Promise<Called>;
	/** From now on this is behind it. */
	break(behind: Behind): void;
	/** The batches that an Outbox got. */
	batches: DecisionBatch[];
	/** Questions that reached a Shard, by its name. */
	questions: { name: string; question: RefreshQuestion }[];
}
export interface CallOptions {
	token?: string | null;
	body?: unknown;
	raw?: BodyInit;
	headers?: Record<string, string>;
	/** Does not wait for what goes on behind the answer. */
	background?: boolean;
}

export interface Behind {
	/** Called for every question, instead of the Shard of that name; `ask` asks it. */
	shard?: (name: string, ask: () => Promise<string>, question: RefreshQuestion) => Promise<string>;
	/** Instead of storing a batch. */
	outbox?: (name: string, body: string) => Promise<OutboxStanding | undefined>;
	kv?: (key: string, read: () => Promise<unknown>) => Promise<unknown>;
	env?: Partial<PriceEnvironment>;
}

const token = clientToken();

/** An isolate that knows nothing: modules evaluated anew. Each call of `behind`'s functions is looked up when it happens, so that a test may change them. */
export async function coldIsolate(behind: Behind = {}): Promise<Isolate> {
	vi.resetModules();
	const { app } = await import('./app.ts');
	const isolate: Pick<Isolate, 'batches' | 'questions'> = { batches: [], questions: [] };
	const environment = {
		...real,
		SHARD: {
			getByName: (name: string) => ({
				refresh: async (question: RefreshQuestion) => {
					isolate.questions.push({ name, question });
					const ask = async () => real.SHARD.getByName(name).refresh(question);
					return behind.shard ? behind.shard(name, ask, question) : ask();
				},
			}),
		},
		OUTBOX: {
			getByName: (name: string) => ({
				append: async (body: string) => {
					const standing = (await behind.outbox?.(name, body)) ?? { taken: true, bytes: 0, refused: 0 };
					if (standing.taken) isolate.batches.push(JSON.parse(body) as DecisionBatch);
					return standing;
				},
			}),
		},
		RELEASES: {
			get: async (key: string, type?: 'json') => {
				const read = (): Promise<unknown> => (type ? real.RELEASES.get(key, type) : real.RELEASES.get(key));
				return behind.kv ? behind.kv(key, read) : read();
			},
		},
		...behind.env,
	} as unknown as PriceEnvironment;

	const call = async (method: string, path: string, options: CallOptions = {}): Promise<Called> => {
		const { token: given = await token, body, headers, background = false } = options;
		const raw = options.raw ?? (body === undefined ? undefined : JSON.stringify(body));
		const request = new Request(`http://edge.test${path}`, {
			method,
			headers: {
				...(given === null ? {} : { authorization: /^\w+ /.test(given) ? given : `Bearer ${given}` }),
				...(raw === undefined ? {} : { 'content-type': 'application/json' }),
				...headers,
			},
			...(raw === undefined ? {} : { body: raw }),
		});
		const ctx = createExecutionContext();
		const response = await app.fetch(request, environment, ctx);
		const text = await response.text();
		if (!background) await waitOnExecutionContext(ctx);
		const value = response.headers.get('content-type')?.includes('json') && text ? (JSON.parse(text) as unknown) : undefined;
		return { response, status: response.status, text, price: value as PriceAnswer, problem: value as Problem };
	};
	return {
		...isolate,
		call,
		break: (by) => {
			Object.assign(behind, by);
			Object.assign(environment, by.env);
		},
		price: (region_id, { body, ...options } = {}) =>
			call('POST', '/api/v1/price', { ...options, body: { region_id, product_type: 'standard_ride', ...(body as object | undefined) } }),
	};
}

/** As a push does: an isolate asks any Shard for the clients' keys. */
export async function releaseEverywhere({ pointer, bodies }: Pick<Awaited<ReturnType<typeof signedRelease>>, 'pointer' | 'bodies'>): Promise<void> {
	await Promise.all(Array.from({ length: partitions }, (_, n) => real.SHARD.getByName(`shard/${n}`).takeRelease(pointer, bodies)));
}

let opened = 0;
/**
 * A region that its Shard prices: a release, an entry, and a frame unless `as_of` is null. Returns its id. Up to eight of a test are in shards of their
 * own, since each is pushed as its shard's first frame.
 */
export async function openRegion(changes: Partial<Region> & { id?: string; release?: number; as_of?: number | null; seq?: number } = {}): Promise<string> {
	const { id = newRegion(opened++ % partitions), release = 1, as_of = Date.now(), seq = 1, ...fields } = changes;
	const shard = shardOf(id);
	await releaseEverywhere(await signedRelease(release));
	await shard.takeEntries([entry(id, fields)]);
	if (as_of !== null) await shard.takeFrame(frame(partition(id, partitions), { seq }, { as_of, regions: [id], whole: true }));
	return id;
}
