import { createHmac } from 'node:crypto';

/** HMAC-SHA256 of an id of a person, in hex: the same person is the same hash, nobody reads the id back. The edge makes the same for user ids. */
export function pseudonym(id: string, pepper: string): string {
	return createHmac('sha256', pepper).update(id).digest('hex');
}
