import type { S3Place } from '#control-plane/s3-place.ts';
import { directoryStore } from './directory-store.ts';
import type { FileStore } from './file-store.ts';
import { s3Store } from './s3-store.ts';

/** The offline store's files at a place of the configuration: an absolute directory or a bucket. Nothing is touched before the first call. */
export const openFileStore = (place: string | S3Place): FileStore => (typeof place === 'string' ? directoryStore(place) : s3Store(place));
