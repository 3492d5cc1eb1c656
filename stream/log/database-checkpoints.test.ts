import { databaseCheckpoints } from '#control-plane/database/feature-checkpoints.ts';
import { testDatabase } from '#control-plane/test-database.ts';
import { featureCheckpointsContract } from './feature-checkpoints.contract.ts';

featureCheckpointsContract('the database', async () => {
	const { connection, close } = await testDatabase();
	return { checkpoints: databaseCheckpoints(connection), close };
});
