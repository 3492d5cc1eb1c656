import { createServer } from 'node:net';
import type { Configuration } from '#control-plane/configuration.ts';
import type { Behind } from '#schemas/behind.ts';
import { doubtful, type Finding, ok, wrong } from './finding.ts';

const ANSWER_MS = 3000;

/** The three doors: while the product runs (`holder` is its pid) what they say of themselves, else whether their ports are free. */
export async function doorFindings(configuration: Configuration, { holder }: { holder: number | null }): Promise<Finding[]> {
	const { host } = configuration;
	const doors = [
		['edge', configuration.edgePort],
		['control plane', configuration.controlPlanePort],
		['ingestion', configuration.ingestPort],
	] as const;
	const all = await Promise.all(doors.map(([name, port]) => (holder === null ? portFinding(name, { host, port }) : doorFinding(name, { host, port }))));
	return all.flat();
}

async function portFinding(name: string, { host, port }: { host: string; port: number }): Promise<Finding[]> {
	const failure = await new Promise<NodeJS.ErrnoException | null>((done) => {
		const server = createServer().once('error', done);
		server.listen(port, host, () => server.close(() => done(null)));
	});
	if (failure === null) return [ok(name, `port ${port} is free`)];
	const variable = `${name === 'edge' ? 'EDGE' : name === 'ingestion' ? 'INGEST' : 'CONTROL_PLANE'}_PORT`;
	if (failure.code === 'EADDRINUSE') return [wrong(name, `another program listens on port ${port}`, `end it, or set ${variable} to another port`)];
	return [wrong(name, `cannot listen on ${host}:${port}: ${failure.message}`, `set HOST to an address of this machine, ${variable} to a port above 1023`)];
}

async function doorFinding(name: string, { host, port }: { host: string; port: number }): Promise<Finding[]> {
	const url = `http://${host}:${port}/readyz`;
	try {
		const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
		const body = (await answer.json()) as { detail?: string; behind?: Behind[] };
		if (!answer.ok)
			return [wrong(name, `not ready: ${body.detail ?? answer.status}`, 'the detail names the part that fails; the log lines of the process say more')];
		const behind = (body.behind ?? []).map(({ what, since, seconds, cause }) => `${what} for ${seconds} s, since ${since}: ${cause}`);
		if (behind.length > 0) return behind.map((line) => doubtful(name, line, 'prices go on; it catches up when the cause is gone. Look again in a minute'));
		return [ok(name, 'ready')];
	} catch (error) {
		return [
			wrong(
				name,
				`does not answer at ${url}: ${(error as Error).name === 'TimeoutError' ? `nothing within ${ANSWER_MS / 1000} s` : ((error as Error).cause as Error | undefined)?.message || (error as Error).message}`,
				'the product runs on this data directory with other ports, is still starting, or hangs: look at its output, then restart it',
			),
		];
	}
}
