/** `ssl_ocsp`: asks who has issued a client's certificate whether it was revoked, before the client gets a word in. */
import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { isResponder, responderOf } from '../../config/certificates.ts';
import type { OcspConfig } from '../../config/model-tls.ts';
import { clock } from '../clock.ts';
import { verifyError } from '../tls-peer.ts';
import { askResponder } from './fetch.ts';
import { ocspRequest, readOcspResponse } from './message.ts';
import type { CertificateStatus, Subject } from './message.ts';
import type { OcspLog } from './stapler.ts';

export const REVOKED = 'certificate revoked';
export const NO_STATUS = 'certificate status request failed';

/** Certificates whose status is kept; the oldest goes first. */
const MAX_KEPT = 10_000;

export class ClientStatus {
  readonly #config: OcspConfig;
  readonly #log: OcspLog;
  readonly #kept = new Map<string, CertificateStatus>();

  constructor(config: OcspConfig, log: OcspLog) {
    this.#config = config;
    this.#log = log;
  }

  /**
   * @param socket whose handshake is done
   * @param done called once, perhaps at once: with what is wrong with the client's certificate, or null. A certificate that
   *   does not hold anyway, or is missing, is not asked about.
   */
  check(socket: TLSSocket, done: (problem: string | null) => void): void {
    const subjects =
      socket.getPeerX509Certificate() === undefined || verifyError(socket) !== null ? [] : this.#subjects(socket);
    const next = (i: number): void => {
      if (i === subjects.length) {
        done(null);
        return;
      }
      this.#ask(subjects[i]!, (problem) => {
        if (problem === null) next(i + 1);
        else done(problem);
      });
    };
    next(0);
  }

  /** Whom to ask about, from the client's own certificate up; roots speak for themselves. */
  #subjects(socket: TLSSocket): Subject[] {
    const subjects: Subject[] = [];
    let at: DetailedPeerCertificate = socket.getPeerCertificate(true);
    while (at.issuerCertificate !== undefined && at.issuerCertificate !== at) {
      const above = at.issuerCertificate;
      if (above.raw.equals(at.raw)) break;
      subjects.push({ certificate: new X509Certificate(at.raw), issuer: new X509Certificate(above.raw) });
      if (!this.#config.chain) break;
      at = above;
    }
    return subjects;
  }

  #ask(subject: Subject, done: (problem: string | null) => void): void {
    const key = `${subject.certificate.fingerprint256}${subject.issuer.fingerprint256}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      if (kept.until > clock.wall) {
        done(problemOf(kept));
        return;
      }
      this.#kept.delete(key);
    }
    const responder = this.#config.responder ?? responderOf(subject.certificate);
    if (responder === null || !isResponder(responder)) {
      this.#log(
        'error',
        `no OCSP responder for the client's certificate with serial ${subject.certificate.serialNumber}`,
      );
      done(NO_STATUS);
      return;
    }
    askResponder(responder, ocspRequest(subject), (error, answer) => {
      clock.update();
      try {
        if (answer === null) throw error!;
        const status = readOcspResponse(answer, subject, clock.wall, true);
        if (this.#config.cache) this.#keep(key, status);
        done(problemOf(status));
      } catch (failure) {
        this.#log(
          'error',
          `${(failure as Error).message} while requesting certificate status, responder: ${responder}`,
        );
        done(NO_STATUS);
      }
    });
  }

  #keep(key: string, status: CertificateStatus): void {
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, status);
  }
}

function problemOf({ status }: CertificateStatus): string | null {
  return status === 'good' ? null : status === 'revoked' ? REVOKED : NO_STATUS;
}
