import { describe, expect, test } from 'vitest';
import { UnavailableError, unavailableIn } from '../unavailable-error.ts';
import { guardPool } from './guard-pool.ts';

/** An error as the server sends it. */
const said = (code: string, severity = 'ERROR') => Object.assign(new Error(`said ${code}`), { code, severity });

/** A pool with one client whose queries fail as told; `released` is how it was given back, each time. */
function fakePool(fails: { error: unknown }) {
	const told = { released: [] as (boolean | undefined)[], destroyed: 0, listeners: 0 };
	const client = {
		query: async (_: unknown): Promise<string> => {
			if (fails.error !== undefined) throw fails.error;
			return 'rows';
		},
		release: (_?: boolean): void => undefined,
		on: () => {
			told.listeners += 1;
		},
		connection: { stream: { destroy: () => (told.destroyed += 1) } },
	};
	const pool = guardPool({
		query: client.query.bind(undefined),
		async connect() {
			client.release = (destroy) => void told.released.push(destroy);
			return client;
		},
	});
	return { pool, told };
}
const failure = async (error: unknown, query = 'select 1'): Promise<unknown> => {
	const { pool } = fakePool({ error });
	return pool.query(query).catch((caught: unknown) => caught);
};

describe('guardPool()', () => {
	test.each([
		['refused', Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' })],
		['ended in the middle', new Error('Connection terminated unexpectedly')],
		['ended before', new Error('Client has encountered a connection error and is not queryable')],
		['given up', new Error('Query read timeout')],
		['no connection in time', new Error('timeout exceeded when trying to connect')],
		['a WebSocket event', { type: 'error', message: '' }],
		['nothing at all', undefined],
		['admin_shutdown', said('57P01', 'FATAL')],
		['crash_shutdown', said('57P02', 'FATAL')],
		['cannot_connect_now', said('57P03', 'FATAL')],
		['query_canceled', said('57014')],
		['lock_not_available', said('55P03')],
		['deadlock_detected', said('40P01')],
		['too_many_connections', said('53300', 'FATAL')],
		['disk_full', said('53100')],
		['read_only_sql_transaction', said('25006')],
		['connection_failure', said('08006')],
		['io_error', said('58030')],
	])('makes UnavailableError of what can be tried later: %s', async (_, error) => {
		const { pool } = fakePool({ error: error ?? null });
		const caught: unknown = await pool.query('select 1').catch((one: unknown) => one);
		expect(caught).toBeInstanceOf(UnavailableError);
		expect((caught as Error).message).toBe('The database does not answer.'); // shown to callers: nothing of the server's
		expect((caught as Error).cause).toBeInstanceOf(Error);
		expect(unavailableIn(new Error('Failed query', { cause: caught }))).toBe(caught);
	});

	test.each([
		['unique_violation', said('23505')],
		['undefined_column', said('42703')],
		['invalid_password', said('28P01', 'FATAL')],
		['a value that cannot be sent', new TypeError('cannot serialize BigInt')],
		['a number out of range', new RangeError('offset')],
	])('leaves what is a defect as it is: %s', async (_, error) => {
		expect(await failure(error)).toBe(error);
		expect(unavailableIn(error)).toBeUndefined();
	});

	test('closes a connection on which begin failed, or that is of no use, once; and keeps one after an error of a statement', async () => {
		for (const [error, query, expected] of [
			[said('57014'), { text: 'begin' }, [true]],
			[new Error('Query read timeout'), { text: 'select 1' }, [true]],
			[said('57P01', 'FATAL'), 'commit', [true]],
			[said('23505'), 'insert', [undefined]],
			[undefined, 'select 1', [undefined]],
		] as const) {
			const { pool, told } = fakePool({ error });
			for (let times = 1; times <= 2; times++) {
				const client = await pool.connect();
				await client.query(query).catch(() => undefined);
				client.release(); // as drizzle does, whatever was before
				expect(told.released).toEqual(Array.from({ length: times }, () => expected[0]));
			}
			expect(told.destroyed).toBe(expected[0] ? 2 : 0);
			expect(told.listeners).toBe(1); // however often it is taken out
		}
	});

	test('leaves calls with a callback to the driver', async () => {
		const { pool } = fakePool({ error: undefined });
		const query = pool.query as (text: string, callback: () => void) => Promise<string>;
		expect(await query('select 1', () => undefined)).toBe('rows');
	});
});
