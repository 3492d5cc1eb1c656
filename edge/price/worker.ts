import { app } from './app.ts';
import type { PriceEnvironment } from './environment.ts';

export default app satisfies ExportedHandler<PriceEnvironment>;
