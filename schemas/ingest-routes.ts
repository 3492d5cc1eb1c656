import * as z from 'zod';
import { eventInput, eventsAnswer } from './event.ts';
import { limits } from './limits.ts';
import { commonRoutes, type Route } from './route.ts';

/** The producers' door. */
export const ingestRoutes = [
	{
		method: 'post',
		path: '/api/v1/events',
		role: 'producer',
		summary: 'One event, an array of 1 to 1,000, or as many lines of ndjson; each is answered for itself',
		body: z.union([eventInput, z.array(eventInput).min(1).max(limits.events_batch_max)]),
		types: ['application/json', 'application/x-ndjson'],
		answers: { 202: eventsAnswer, 207: eventsAnswer },
		problems: ['conflict', 'rate_limited'],
	},
	...commonRoutes,
] as const satisfies Route[];
