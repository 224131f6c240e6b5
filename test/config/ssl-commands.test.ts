/** `ssl_conf_command`: what OpenSSL's commands come to, and which are refused. */
import assert from 'node:assert/strict';
import { constants } from 'node:crypto';
import { test } from 'node:test';
import { Cycle } from '../../src/config/nginx/cycle.ts';
import { sslCommands } from '../../src/config/nginx/ssl-commands.ts';

const cycle = new Cycle({ prefix: '/p', file: '/p/n.conf', cpuCount: 1, superUser: false, lookup: () => [] });
const read = (...commands: [string, string][]): object =>
  sslCommands(commands, { cycle, place: { file: '/p/n.conf', line: 7 }, passwords: [] });

test('commands and their values', () => {
  assert.deepEqual(read(), {});
  assert.deepEqual(read(['CipherString', 'HIGH'], ['ciphersuites', 'TLS_AES_128_GCM_SHA256'], ['Curves', 'X25519']), {
    ciphers: 'HIGH',
    ciphersuites: 'TLS_AES_128_GCM_SHA256',
    groups: 'X25519',
  });
  assert.deepEqual(read(['SignatureAlgorithms', 'RSA+SHA256']), { signatureAlgorithms: 'RSA+SHA256' });
});

test('options set and clear bits, the last word counts', () => {
  const { SSL_OP_NO_TICKET: noTicket, SSL_OP_CIPHER_SERVER_PREFERENCE: preference } = constants;
  assert.deepEqual(read(['Options', 'SessionTicket']), { set: 0, clear: noTicket });
  assert.deepEqual(read(['Options', '-SessionTicket,ServerPreference']), { set: noTicket | preference, clear: 0 });
  assert.deepEqual(read(['Options', 'ServerPreference'], ['Options', '-ServerPreference']), {
    set: 0,
    clear: preference,
  });
});

test('versions', () => {
  assert.deepEqual(read(['MinProtocol', 'TLSv1.2']), { protocols: ['TLSv1.2', 'TLSv1.3'] });
  assert.deepEqual(read(['MinProtocol', 'TLSv1.1'], ['MaxProtocol', 'TLSv1.2']), { protocols: ['TLSv1.1', 'TLSv1.2'] });
  assert.deepEqual(read(['Protocol', '-ALL,TLSv1.3']), { protocols: ['TLSv1.3'] });
});

test('what cannot be done is refused, with its place', () => {
  for (const [name, value] of [
    ['NoSuchThing', 'x'],
    ['Options', 'SessionTicket,Nonsense'],
    ['MinProtocol', 'TLSv9'],
    ['Protocol', 'ALL,-SSLv9'],
  ] as [string, string][]) {
    assert.throws(() => read([name, value]), {
      message: new RegExp(`^SSL_CONF_cmd\\("${name}", "${value}"\\) failed \\(SSL: .*\\) in /p/n.conf:7$`),
    });
  }
});
