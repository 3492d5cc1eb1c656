import * as z from 'zod';
import { slug } from './identifier.ts';
import { limits } from './limits.ts';
import { forecastAnswer, priceAnswer, priceRequest, pricesRequest } from './price.ts';
import { problemDocument } from './problem.ts';
import { commonRoutes, type Route } from './route.ts';

export const forecastQuery = z.strictObject({ region_id: slug });

/** The clients' door. */
export const edgeRoutes = [
	{
		method: 'post',
		path: '/api/v1/price',
		role: 'client',
		summary: 'The price of a product in a region, now',
		body: priceRequest,
		answers: { 200: priceAnswer },
		problems: ['unknown_region', 'unknown_product', 'rate_limited'],
	},
	{
		method: 'post',
		path: '/api/v1/prices',
		role: 'client',
		summary: 'Up to 100 prices; a refused one is a problem among the results',
		body: pricesRequest.extend({ requests: z.array(priceRequest).min(1).max(limits.prices_batch_max) }),
		answers: { 200: z.strictObject({ results: z.array(z.union([priceAnswer, problemDocument])) }) },
		problems: ['rate_limited'],
	},
	{
		method: 'get',
		path: '/api/v1/forecast',
		role: 'client',
		summary: 'What is expected of a region in the coming 15, 30 and 60 minutes',
		query: forecastQuery,
		answers: { 200: forecastAnswer },
		problems: ['unknown_region', 'no_forecast'],
	},
	...commonRoutes,
] as const satisfies Route[];
