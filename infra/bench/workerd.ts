import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const binary = createRequire(import.meta.url)('workerd').default as string;

export interface Workerd {
	pid: number;
	/** From the start of the process to the first 200, milliseconds. */
	first_answer_ms: number;
	/** CPU seconds used so far (user + system of the process). */
	cpuSeconds(): number;
	stop(): Promise<void>;
}

/** CPU seconds of a process by /proc (Linux), at 100 ticks a second. */
function cpuSeconds(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
	return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Plain `workerd serve` of a config, compiled first (as text, `embed` copies the modules several times). Up when `probe` answers true. */
export async function startWorkerd(directory: string, options: { name: string; config: string; probe: () => Promise<boolean> }): Promise<Workerd> {
	const text = join(directory, `${options.name}.capnp`);
	const compiled = join(directory, `${options.name}.bin`);
	writeFileSync(text, options.config);
	const ran = spawnSync(binary, ['compile', '--config-only', text], { maxBuffer: 1 << 28 });
	if (ran.status !== 0) throw new Error(`Cannot compile the workerd config: ${ran.stderr}`);
	writeFileSync(compiled, ran.stdout);
	const started = performance.now();
	const child: ChildProcess = spawn(binary, ['serve', '--binary', compiled], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] });
	const { pid } = child;
	if (pid === undefined) throw new Error('Cannot start workerd');
	const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
	for (;;) {
		if (child.exitCode !== null) throw new Error(`workerd ended with ${child.exitCode}`);
		if (await options.probe().catch(() => false)) break;
		if (performance.now() - started > 15_000) throw new Error('workerd does not answer');
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
	return {
		pid,
		first_answer_ms: performance.now() - started,
		cpuSeconds: () => cpuSeconds(pid),
		async stop() {
			child.kill('SIGKILL');
			await exited;
		},
	};
}
