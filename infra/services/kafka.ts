import { freePort } from '../free-port.ts';
import { KAFKA_VERSION, type KafkaNode, kafkaNode } from './kafka/kafka-node.ts';
import type { Service } from './service.ts';
import type { TestCertificates } from './test-certificates.ts';

/** A broker of one node that can be killed and started again on the same data and port. */
export interface KafkaBroker extends Service, KafkaNode {
	/** Where it takes users, when it was started with `secured`: host:port of the door without and with TLS. */
	secured: { sasl: string; sasl_tls: string } | undefined;
}

/** What a broker needs to know whom it lets in by its secured doors. */
export interface KafkaSecurity {
	/** Password by user. */
	users: Record<string, string>;
	certificates: TestCertificates;
}

const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';

/** The properties of a door that wants a user, by any mechanism that the product knows. */
function securedDoor(name: string, users: Record<string, string>): Record<string, string> {
	const door = `listener.name.${name.toLowerCase()}`;
	const plain = Object.entries(users).map(([user, password]) => `user_${user}="${password}"`);
	return {
		[`${door}.sasl.enabled.mechanisms`]: 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
		[`${door}.scram-sha-256.sasl.jaas.config`]: SCRAM,
		[`${door}.scram-sha-512.sasl.jaas.config`]: SCRAM,
		[`${door}.plain.sasl.jaas.config`]: `org.apache.kafka.common.security.plain.PlainLoginModule required ${plain.join(' ')};`,
	};
}

/**
 * Starts Apache Kafka (KRaft, one node) with its data in `directory`; Java 17 and Maven must be there.
 * @param options.secured opens two more doors, which take only these users.
 */
export async function startKafka(directory: string, { secured }: { secured?: KafkaSecurity } = {}): Promise<KafkaBroker> {
	const controller = await freePort();
	const ports: Record<string, number> = { PLAINTEXT: await freePort() };
	if (secured) for (const door of ['SASL_PLAINTEXT', 'SASL_SSL']) ports[door] = await freePort();
	const doors = Object.entries(ports).map(([name, port]) => `${name}://127.0.0.1:${port}`);
	const node = await kafkaNode(directory, {
		users: secured?.users ?? {},
		properties: {
			'node.id': 1,
			'controller.quorum.voters': `1@127.0.0.1:${controller}`,
			listeners: [...doors, `CONTROLLER://127.0.0.1:${controller}`].join(','),
			'advertised.listeners': doors.join(','),
			'listener.security.protocol.map': ['CONTROLLER:PLAINTEXT', ...Object.keys(ports).map((name) => `${name}:${name}`)].join(','),
			'inter.broker.listener.name': 'PLAINTEXT',
			'offsets.topic.replication.factor': 1,
			'transaction.state.log.replication.factor': 1,
			'transaction.state.log.min.isr': 1,
			...(secured && {
				...securedDoor('SASL_PLAINTEXT', secured.users),
				...securedDoor('SASL_SSL', secured.users),
				'ssl.keystore.type': 'PEM',
				'ssl.keystore.location': secured.certificates.server_pem,
			}),
		},
	});
	await node.start();
	const at = (door: string) => `127.0.0.1:${ports[door]}`;
	return {
		...node,
		url: `kafka://${at('PLAINTEXT')}`,
		version: `Apache Kafka ${KAFKA_VERSION}`,
		secured: secured && { sasl: at('SASL_PLAINTEXT'), sasl_tls: at('SASL_SSL') },
	};
}
