import * as z from 'zod';
import { limits } from './limits.ts';

const SLUG = /^[a-z0-9][a-z0-9\-_]{0,63}$/;

/** Ids of regions, products, rule sets, models and adjustments. */
export const slug = z.string().regex(SLUG, 'must match ^[a-z0-9][a-z0-9-_]{0,63}$');

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Ids of events, users and drivers: 1..128 characters, no control characters, no lone surrogates. */
export const externalId = z
	.string()
	.min(1, 'must have 1 to 128 characters')
	.max(limits.id_chars_max, 'must have 1 to 128 characters')
	.refine((id) => !CONTROL.test(id) && id.isWellFormed(), 'must not have control characters or lone surrogates');

/** A short text that people read. */
export const name = z
	.string()
	.min(1)
	.max(limits.name_chars_max)
	.refine((text) => !CONTROL.test(text) && text.isWellFormed(), 'must not have control characters or lone surrogates');
