import { type Configuration, ConfigurationError } from '#control-plane/configuration.ts';
import { settleClockKind } from '#control-plane/database/clock-kind.ts';
import type { Database } from '#control-plane/database/database.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { logLine } from '#control-plane/log-line.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import type { AloneName } from './alone.ts';
import { patiently } from './patiently.ts';

const onTrouble = (text: string) => logLine('warn', { what: text });

/** The database that processes of one deployment share. @throws ConfigurationError for the embedded one, which one process has for itself. */
export async function openSharedDatabase(configuration: Configuration, name: AloneName): Promise<Database> {
	if (!/^postgres(ql)?:/.test(configuration.database))
		throw new ConfigurationError(`Cannot start ${name} alone: DATABASE_URL is the embedded Postgres, which one process has; wanted: postgres://...`);
	const database = await patiently('the database', () => openDatabase(configuration.database, { onTrouble }));
	if ((await settleClockKind(database.connection, 'wall')) === 'wall') return database;
	await database.close();
	throw new ConfigurationError(`Cannot start ${name}: this database holds events of a replayed city's clock; wanted is another DATABASE_URL`);
}

/** The log that processes of one deployment share. @throws ConfigurationError for the embedded one. */
export async function openSharedLog(configuration: Configuration, name: AloneName): Promise<EventLog> {
	const { kafka, partitions } = configuration;
	if (!kafka) throw new ConfigurationError(`Cannot start ${name} alone: LOG_URL is the embedded log, which one process has; wanted: kafka://host:port,...`);
	const { openKafkaLog } = await import('#stream/log/kafka-log.ts');
	return patiently('Kafka', () => openKafkaLog(kafka, { partitions, client_id: `surgecast-${name}`, onTrouble }));
}
