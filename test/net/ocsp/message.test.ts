/** OCSP requests and answers, against those of openssl. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { issuerOf, responderOf } from '../../../src/config/certificates.ts';
import { ocspRequest, readOcspResponse } from '../../../src/net/ocsp/message.ts';
import { directory } from '../../helpers/headrace.ts';
import { OcspAuthority } from '../../helpers/ocsp.ts';
import { findProgram, inCi } from '../../helpers/requires.ts';
import { suiteScope } from '../../helpers/wait.ts';

const skip = findProgram('openssl') === null && !inCi() ? 'openssl is not installed' : false;

describe('OCSP', { skip }, () => {
  const scope = suiteScope(after);
  let authority: OcspAuthority;
  let dir: string;
  const read = (name: string): X509Certificate => new X509Certificate(readFileSync(join(dir, `${name}.crt`)));
  const subject = (name: string) => ({ certificate: read(name), issuer: read('ca') });
  const now = Date.now();

  before(() => {
    dir = directory(scope);
    authority = new OcspAuthority(dir, 'http://127.0.0.1:1/x');
    for (const name of ['good', 'gone', 'other']) authority.issue(name);
    authority.issue('signer', 'extendedKeyUsage=OCSPSigning');
    authority.revoke('gone');
  });

  test('requests are those of openssl', () => {
    execFileSync('openssl', ['ocsp', '-no_nonce', '-issuer', 'ca.crt', '-cert', 'good.crt', '-reqout', 'req.der'], {
      cwd: dir,
    });
    assert.deepEqual(ocspRequest(subject('good')), readFileSync(join(dir, 'req.der')));
    assert.equal(responderOf(read('good')), 'http://127.0.0.1:1/x');
    assert.equal(responderOf(read('ca')), null);
    assert.ok(issuerOf(read('good'), [read('other'), read('ca')])!.raw.equals(read('ca').raw));
    assert.equal(issuerOf(read('good'), [read('other')]), null);
  });

  test('good, revoked, and another certificate', () => {
    const good = readOcspResponse(authority.answer('good'), subject('good'), now, true);
    assert.equal(good.status, 'good');
    assert.ok(good.until > now && good.until < now + 2 * 86_400_000);
    assert.equal(readOcspResponse(authority.answer('gone'), subject('gone'), now, true).status, 'revoked');
    assert.throws(() => readOcspResponse(authority.answer('good'), subject('gone'), now, true), /not found/);
    assert.throws(
      () => readOcspResponse(authority.answer('good'), subject('good'), now + 3 * 86_400_000, true),
      /out of date/,
    );
    assert.throws(
      () => readOcspResponse(authority.answer('good'), subject('good'), now - 86_400_000, true),
      /out of date/,
    );
  });

  test('the issuer signs, or whom he has named for that', () => {
    assert.equal(readOcspResponse(authority.answer('good', 'signer'), subject('good'), now, true).status, 'good');
    assert.throws(
      () => readOcspResponse(authority.answer('good', 'other'), subject('good'), now, true),
      /not signed by/,
    );
    // A staple that is not verified may be signed by anybody, but it must be signed.
    assert.equal(readOcspResponse(authority.answer('good', 'other'), subject('good'), now, false).status, 'good');
  });

  test('a changed byte is noticed, and no bytes make more than an error', () => {
    const answer = authority.answer('good');
    const same = subject('good');
    // Bytes of the signer's own certificate in the answer are not what is relied on: then the answer stays what it is.
    const goodOrError = (bytes: Buffer): void => {
      try {
        assert.equal(readOcspResponse(bytes, same, now, true).status, 'good');
      } catch (error) {
        assert.ok(
          error instanceof Error && !(error instanceof RangeError) && !(error instanceof assert.AssertionError),
        );
      }
    };
    for (let i = 0; i < answer.length; i += 3) {
      const changed = Buffer.from(answer);
      changed[i]! ^= 0x21;
      goodOrError(changed);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(answer.length), (noise, at) => {
        goodOrError(Buffer.concat([answer.subarray(0, at), Buffer.from(noise)]));
        assert.throws(() => readOcspResponse(Buffer.from(noise), same, now, true), Error);
      }),
      { numRuns: 300 },
    );
    // A revoked one never becomes good.
    const gone = authority.answer('gone');
    const subjectGone = subject('gone');
    for (let i = 0; i < gone.length; i++) {
      const changed = Buffer.from(gone);
      changed[i]! ^= 0x01;
      try {
        assert.equal(readOcspResponse(changed, subjectGone, now, true).status, 'revoked', `byte ${i}`);
      } catch (error) {
        assert.ok(!(error instanceof assert.AssertionError), String(error));
      }
    }
    assert.throws(() => readOcspResponse(Buffer.from('30030a0106', 'hex'), same, now, true), /6: unauthorized/);
  });
});
