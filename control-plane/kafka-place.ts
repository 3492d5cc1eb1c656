/** Where a Kafka cluster is and how to speak to it. */
export interface KafkaPlace {
	brokers: string[];
	tls: boolean;
	/** A file of certificates, PEM: the authorities to trust instead of those that Node knows. */
	ca?: string;
	sasl: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string } | null;
	/** Of topics that are made here. */
	replication: number;
}

/**
 * Reads `kafka://[user:password@]host:port,host:port[?tls=true&ca=/path.pem&sasl=scram-sha-256&replication=3]`. With a user the mechanism is scram-sha-256 unless
 * another is named. @throws Error that says what is wanted, never with the password.
 */
export function kafkaPlace(url: string): KafkaPlace {
	const wanted = 'kafka://[user:password@]host:port,...[?tls=true&ca=FILE&sasl=plain|scram-sha-256|scram-sha-512&replication=N]';
	const refuse = (what: string) => new Error(`${what}, wanted: ${wanted}`);
	const match = /^kafka:\/\/(?:([^:@/]+):([^@/]*)@)?([^/?@]+)(?:\?(.*))?$/.exec(url);
	if (!match) throw refuse('the URL cannot be read');
	const [, user, password = '', hosts = '', query = ''] = match;
	const brokers = hosts.split(',');
	const broken = brokers.find((broker) => !/^(?:[\w.-]+|\[[\da-f:]+\]):\d{1,5}$/i.test(broker));
	if (broken !== undefined) throw refuse(`"${broken}" is no host:port`);
	const { tls = 'false', ca, sasl = 'scram-sha-256', replication = '1', ...others } = Object.fromEntries(new URLSearchParams(query));
	const [unknown] = Object.keys(others);
	if (unknown !== undefined) throw refuse(`"${unknown}" is no setting`);
	if (tls !== 'true' && tls !== 'false') throw refuse(`tls is "${tls}"`);
	if (ca !== undefined && tls !== 'true') throw refuse(`ca is "${ca}" without tls=true`);
	if (ca === '') throw refuse('ca names no file');
	if (sasl !== 'plain' && sasl !== 'scram-sha-256' && sasl !== 'scram-sha-512') throw refuse(`sasl is "${sasl}"`);
	if (!/^[1-9]\d?$/.test(replication)) throw refuse(`replication is "${replication}"`);
	return {
		brokers,
		tls: tls === 'true',
		...(ca === undefined ? {} : { ca }),
		sasl: user === undefined ? null : { mechanism: sasl, username: decodeURIComponent(user), password: decodeURIComponent(password) },
		replication: Number(replication),
	};
}
