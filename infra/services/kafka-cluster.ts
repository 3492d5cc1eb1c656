import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { type KafkaNode, kafkaNode } from './kafka/kafka-node.ts';

/** Nodes on one machine, each broker and controller; what is there once has a copy on every one of them. */
export interface KafkaCluster {
	/** As LOG_URL wants it. */
	url: string;
	/** By node id, from 1 on. */
	nodes: ReadonlyMap<number, KafkaNode>;
	/** Ends those that run. */
	stop(): Promise<void>;
}

const NODES = 3;

/** Starts three nodes with their data in `directory`: writes want two of them in sync. */
export async function startKafkaCluster(directory: string): Promise<KafkaCluster> {
	const ids = Array.from({ length: NODES }, (_, index) => index + 1);
	const ports = new Map<number, { broker: number; controller: number }>();
	for (const id of ids) ports.set(id, { broker: await freePort(), controller: await freePort() });
	const voters = [...ports].map(([id, { controller }]) => `${id}@127.0.0.1:${controller}`).join(',');
	const running = new Set<number>();
	const nodes = new Map<number, KafkaNode>();
	for (const [id, { broker, controller }] of ports) {
		const node = await kafkaNode(join(directory, `node-${id}`), {
			properties: {
				'node.id': id,
				'controller.quorum.voters': voters,
				listeners: `PLAINTEXT://127.0.0.1:${broker},CONTROLLER://127.0.0.1:${controller}`,
				'advertised.listeners': `PLAINTEXT://127.0.0.1:${broker}`,
				'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
				'inter.broker.listener.name': 'PLAINTEXT',
				'offsets.topic.replication.factor': NODES,
				'transaction.state.log.replication.factor': NODES,
				'transaction.state.log.min.isr': NODES - 1,
				'replica.lag.time.max.ms': 3000, // a copy that is silent so long is out of sync; by default half a minute
			},
		});
		const note = (runs: boolean, work: () => Promise<void>) => async () => {
			if (runs) running.add(id);
			await work();
			if (!runs) running.delete(id);
		};
		nodes.set(id, { ...node, start: note(true, node.start), stop: note(false, node.stop), kill: note(false, node.kill) });
	}
	await Promise.all([...nodes.values()].map((node) => node.start()));
	return {
		url: `kafka://${[...ports.values()].map(({ broker }) => `127.0.0.1:${broker}`).join(',')}?replication=${NODES}`,
		nodes,
		async stop() {
			// Not by SIGTERM: a node that hands its work over waits for a quorum, which ends with the second.
			for (const id of [...running]) await nodes.get(id)!.kill();
		},
	};
}
