import { expect, test } from 'vitest';
import { kafkaPlace } from './kafka-place.ts';

test('kafkaPlace() reads hosts, user, TLS, authorities, mechanism and replication', () => {
	expect(kafkaPlace('kafka://a:9092')).toEqual({ brokers: ['a:9092'], tls: false, sasl: null, replication: 1 });
	expect(kafkaPlace('kafka://me:p%40ss%3A@a:9092,[::1]:9093?tls=true&ca=%2Fetc%2Fca.pem&sasl=scram-sha-512&replication=3')).toEqual({
		brokers: ['a:9092', '[::1]:9093'],
		tls: true,
		ca: '/etc/ca.pem',
		sasl: { mechanism: 'scram-sha-512', username: 'me', password: 'p@ss:' },
		replication: 3,
	});
	expect(kafkaPlace('kafka://me:hush@a:9092?tls=true&ca=ca.pem')).toMatchObject({ ca: 'ca.pem', sasl: { mechanism: 'scram-sha-256' } });
});

test.each([
	['kafka://me:hush@a:9092?ca=/ca.pem', /ca is "\/ca.pem" without tls=true/],
	['kafka://me:hush@a:9092?tls=false&ca=/ca.pem', /without tls=true/],
	['kafka://me:hush@a:9092?tls=true&ca=', /ca names no file/],
	['kafka://me:hush@a:9092?tls=yes', /tls is "yes"/],
	['kafka://me:hush@a:9092?sasl=gssapi', /sasl is "gssapi"/],
	['kafka://me:hush@a:9092?cert=/c.pem', /"cert" is no setting/],
	['kafka://me:hush@a', /"a" is no host:port/],
])('kafkaPlace() refuses %s, says what is wanted, never the password', (url, why) => {
	expect(() => kafkaPlace(url)).toThrow(why);
	expect(() => kafkaPlace(url)).toThrow(/wanted: kafka:\/\//);
	expect(() => kafkaPlace(url)).not.toThrow(/hush/);
});
