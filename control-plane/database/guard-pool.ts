import { UnavailableError } from '../unavailable-error.ts';

type Method = (...parameters: never[]) => unknown;

/** As much of a pool of node-postgres as is guarded here; Neon's driver has the same. */
interface Pool {
	query: Method;
	connect: Method;
}

/** A connection while somebody has it out of the pool. */
interface Client {
	query: Method;
	release: (destroy?: boolean) => void;
	on(event: 'error', listener: () => void): unknown;
	connection?: { stream?: { destroy?: () => unknown } };
}

/**
 * What a server says when it cannot now, by SQLSTATE: connection exceptions, transactions that lost against another or must be retried, no resources (disk,
 * memory, connections), a lock or statement that took too long, a shutdown, a standby that takes no writes, trouble of its own disk.
 */
const NOT_NOW = /^(08...|40...|53...|55P03|57...|25006|58...)$/;

const saidByServer = (error: unknown): error is { severity: string; code: unknown } => (error as { severity?: unknown } | null)?.severity !== undefined;
const isOurs = (error: unknown): boolean => error instanceof TypeError || error instanceof RangeError;

/**
 * An error of the driver as what the caller should do: UnavailableError where the server says that it cannot now, or where nothing came from the server at all
 * (refused, reset, timed out, ended in the middle: of a commit, too, so that nobody is told that a write failed or succeeded when it is not known).
 * What the server has against a statement, and a value that no driver could send, stays what it is: a defect.
 */
function judged(error: unknown): unknown {
	if (isOurs(error) || error instanceof UnavailableError) return error;
	if (saidByServer(error) && !NOT_NOW.test(String(error.code))) return error;
	// A WebSocket fails with an event.
	const cause = error instanceof Error ? error : new Error((error as { message?: string } | null)?.message || 'the connection failed');
	return new UnavailableError('The database does not answer.', { cause });
}

/** Whether a connection is of no use after this. */
const endsConnection = (error: unknown): boolean => (saidByServer(error) ? error.severity === 'FATAL' || error.severity === 'PANIC' : !isOurs(error));

const isBegin = ([query]: readonly unknown[]): boolean =>
	/^begin/i.test(typeof query === 'string' ? query : ((query as { text?: string } | undefined)?.text ?? ''));

/** Makes a method that answers a promise throw judged errors; one called with a callback (the pool's own way) stays as it is. */
function guardMethod<T extends object>(
	owner: T,
	name: keyof T & string,
	{
		got = () => undefined,
		failed = () => undefined,
	}: { got?: (value: unknown) => void; failed?: (error: unknown, parameters: readonly unknown[]) => void } = {},
): void {
	const original = owner[name] as (...parameters: unknown[]) => unknown;
	const replacement = (...parameters: unknown[]): unknown => {
		const answer = original.apply(owner, parameters);
		if (typeof parameters.at(-1) === 'function' || !(answer instanceof Promise)) return answer;
		return answer.then(
			(value: unknown) => {
				got(value);
				return value;
			},
			(error: unknown) => {
				failed(error, parameters);
				throw judged(error);
			},
		);
	};
	owner[name] = replacement as T[typeof name];
}

const guardedClients = new WeakSet<Client>();

/**
 * The one place where a driver's errors become UnavailableError. It also gives back, to be closed, the connections that drizzle would keep or hand on: one on
 * which `begin` failed (drizzle releases only what began), and one whose query was given up (what comes behind it on the same connection would wait for it).
 */
export function guardPool<P extends Pool>(pool: P): P {
	guardMethod(pool, 'query');
	guardMethod(pool, 'connect', {
		got(value) {
			const client = value as Client;
			const { release } = client; // new each time that the client is taken out; a second call of it throws
			let released = false;
			client.release = (destroy) => {
				if (released) return;
				released = true;
				release.call(client, destroy);
			};
			if (guardedClients.has(client)) return;
			guardedClients.add(client);
			// A connection may end between two statements of a transaction: the next one says so. Without a listener it would end the process.
			client.on('error', () => undefined);
			guardMethod(client, 'query', {
				failed(error, parameters) {
					if (!endsConnection(error) && !isBegin(parameters)) return;
					client.release(true);
					client.connection?.stream?.destroy?.();
				},
			});
		},
	});
	return pool;
}
