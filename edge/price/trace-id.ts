import { decisionId } from './decision-id.ts';

/** A new trace id, 32 hex digits: as unique as a decision's id, and made from the same pool of random bytes. */
export const newTraceId = (): string => decisionId(Date.now()).replaceAll('-', '');
