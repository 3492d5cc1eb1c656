// The Kafka log by the doors of a broker that want a user: SASL by every mechanism, with and without TLS, against a real broker.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { LogUnavailable } from '#stream/log/event-log.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { type KafkaBroker, startKafka } from './services/kafka.ts';
import { makeTestCertificates, type TestCertificates } from './services/test-certificates.ts';

const USER = 'surge';
const PASSWORD = 'open:sesame';
const directory = mkdtempSync(join(tmpdir(), 'surgecast-kafka-'));
let certificates: TestCertificates;
let broker: KafkaBroker;
beforeAll(async () => {
	certificates = makeTestCertificates(join(directory, 'certificates'));
	broker = await startKafka(join(directory, 'kafka'), { secured: { users: { [USER]: PASSWORD }, certificates } });
});
afterAll(async () => {
	await broker?.stop();
	rmSync(directory, { recursive: true, force: true });
});

const MECHANISMS = ['scram-sha-256', 'scram-sha-512', 'plain'];
interface Way {
	sasl: string;
	password?: string;
	/** The file of authorities, for the door with TLS; without it that door is asked without. */
	ca?: string;
	door?: 'sasl' | 'sasl_tls';
	user?: string;
}
function url({ sasl, password = PASSWORD, ca, door = ca ? 'sasl_tls' : 'sasl', user = USER }: Way): string {
	const tls = ca ? `&tls=true&ca=${encodeURIComponent(ca)}` : '';
	return `kafka://${user}:${encodeURIComponent(password)}@${broker.secured![door]}?sasl=${sasl}${tls}`;
}
const open = (text: string) => openKafkaLog(kafkaPlace(text), { partitions: 2, client_id: 'surgecast-test', onTrouble: () => undefined });
const record = (text: string) => ({ topic: 'user-events' as const, partition: 1, key: 'r', value: Buffer.from(text), timestamp: 1 });

/** What is said when a log cannot be opened. */
async function refusal(text: string): Promise<string> {
	const error = await open(text).then(
		async (log) => {
			await log.close();
			return undefined;
		},
		(refused: Error) => refused,
	);
	expect(error).toBeInstanceOf(LogUnavailable);
	return error!.message;
}

describe.each([false, true])('TLS %s', (tls) => {
	test.each(MECHANISMS)('%s: the right password appends, reads, joins a group and commits', async (sasl) => {
		const log = await open(url({ sasl, ...(tls ? { ca: certificates.ca_pem } : {}) }));
		try {
			const from = await log.end('user-events', 1);
			await log.append([record(`by ${sasl}`), record('again')]);
			const member = await log.join(`secured-${sasl}-${tls}`, ['user-events']);
			const found = await member.read('user-events', 1, { offset: from, records_max: 10, bytes_max: 1000 });
			expect(found.map(({ value }) => Buffer.from(value).toString())).toEqual([`by ${sasl}`, 'again']);
			await member.commit('user-events', 1, from + 2);
			expect(await member.position('user-events', 1)).toBe(from + 2);
		} finally {
			await log.close();
		}
	});

	test.each(MECHANISMS)('%s: a wrong password, and an unknown user, are refused at the start by name, never with the password', async (sasl) => {
		for (const wrong of [{ password: 'hush-hush' }, { user: 'nobody', password: 'hush-hush' }]) {
			const said = await refusal(url({ sasl, ...wrong, ...(tls ? { ca: certificates.ca_pem } : {}) }));
			expect(said).toContain(`does not let user "${wrong.user ?? USER}" in by ${sasl}`);
			expect(said).toContain(broker.secured![tls ? 'sasl_tls' : 'sasl']);
			expect(said).not.toMatch(/hush|sesame/);
		}
	});
});

test('a certificate of an authority that is not trusted is refused, with the reason', async () => {
	const other = makeTestCertificates(join(directory, 'others')).ca_pem;
	expect(await refusal(url({ sasl: 'plain', ca: other }))).toMatch(/127\.0\.0\.1:\d+ does not answer: .*(certificate|signature)/);
});

test('no TLS at a door that wants it, and TLS at one that does not, end with an error instead of waiting for ever', async () => {
	expect(await refusal(url({ sasl: 'plain', door: 'sasl_tls' }))).toMatch(/does not answer/);
	expect(await refusal(url({ sasl: 'plain', door: 'sasl', ca: certificates.ca_pem }))).toMatch(/does not answer/);
	expect(await refusal(`kafka://${broker.secured!.sasl}`)).toMatch(/does not answer/);
});

test('a file of authorities that is missing or holds none is named', async () => {
	await expect(open(url({ sasl: 'plain', ca: join(directory, 'none.pem') }))).rejects.toThrow(/ca=.*none\.pem: ENOENT/);
	const empty = join(directory, 'empty.pem');
	writeFileSync(empty, 'no certificate\n');
	await expect(open(url({ sasl: 'plain', ca: empty }))).rejects.toThrow(/empty\.pem holds no certificate/);
});
