/**
 * `ssl_stapling`: has an answer of an OCSP responder at hand for a certificate, and renews it before it runs out. As in
 * nginx the first handshake that asks for one begins it, and goes without; only what says "good" is shown.
 */
import { Buffer } from 'node:buffer';
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:tls';
import type { Server } from 'node:tls';
import { certificatesOf, issuerOf } from '../../config/certificates.ts';
import type { LogLevel } from '../../config/model.ts';
import { clock } from '../clock.ts';
import { askResponder } from './fetch.ts';
import { ocspRequest, readOcspResponse } from './message.ts';
import type { Subject } from './message.ts';

export type OcspLog = (level: LogLevel, message: string) => void;

/** Nobody is asked more often than that about one certificate, in milliseconds. */
const AT_LEAST_MS = 300_000;
const AT_MOST_MS = 3_600_000;
/** Intermediate certificates between an issuer and one that is trusted. */
const MAX_CHAIN = 10;

export abstract class Stapler {
  /**
   * What `TLSSocket` asks: it never listens. Node tells of a client's wish for a staple by an event of the server that a
   * socket belongs to.
   */
  readonly server: Server = createServer({});

  constructor() {
    this.server.on('OCSPRequest', (_certificate, _issuer, answer) => answer(null, this.staple()));
  }

  /** What clients are shown; null: nothing. */
  abstract staple(): Buffer | null;
}

/** `ssl_stapling_file`. */
export class FileStapler extends Stapler {
  readonly #answer: Buffer;

  /** @param text one character a byte */
  constructor(text: string) {
    super();
    this.#answer = Buffer.from(text, 'latin1');
  }

  staple(): Buffer {
    return this.#answer;
  }
}

export interface StapleSource {
  /** The pair's certificate and those that come with it, PEM. */
  certificate: string;
  issuer: string;
  responder: string;
  /** What the issuer must lead to, PEM; null: answers are not verified. */
  trusted: string | null;
}

export class ResponderStapler extends Stapler {
  readonly #subject: Subject;
  readonly #responder: string;
  readonly #verified: boolean;
  /** Why no answer would be believed; null: they may be. */
  readonly #problem: string | null;
  readonly #log: OcspLog;
  #answer: Buffer | null = null;
  /** Milliseconds since the epoch. */
  #until = 0;
  #refreshAt = 0;
  #asking = false;

  constructor({ certificate, issuer, responder, trusted }: StapleSource, log: OcspLog) {
    super();
    this.#subject = { certificate: new X509Certificate(certificate), issuer: new X509Certificate(issuer) };
    this.#responder = responder;
    this.#verified = trusted !== null;
    this.#problem =
      trusted === null || leadsTo(this.#subject, certificate, trusted) ? null : 'the issuer is not trusted';
    this.#log = log;
  }

  staple(): Buffer | null {
    const now = clock.wall;
    if (now >= this.#refreshAt && !this.#asking) this.#refresh();
    return now < this.#until ? this.#answer : null;
  }

  #refresh(): void {
    this.#asking = true;
    askResponder(this.#responder, ocspRequest(this.#subject), (error, answer) => {
      clock.update();
      this.#asking = false;
      try {
        if (answer === null) throw error!;
        this.#take(answer);
      } catch (failure) {
        this.#refreshAt = clock.wall + AT_LEAST_MS;
        const { message } = failure as Error;
        this.#log('error', `${message} while requesting certificate status, responder: ${this.#responder}`);
      }
    });
  }

  /** @throws {Error} what is wrong with it */
  #take(answer: Buffer): void {
    const now = clock.wall;
    if (this.#problem !== null) throw new Error(this.#problem);
    const { status, until } = readOcspResponse(answer, this.#subject, now, this.#verified);
    if (status !== 'good') throw new Error(`certificate status "${status}" in the OCSP response`);
    this.#answer = answer;
    this.#until = until;
    this.#refreshAt = Math.max(Math.min(until - AT_LEAST_MS, now + AT_MOST_MS), now + AT_LEAST_MS);
  }
}

/** Whether the issuer is trusted, or was certified by somebody who is. */
function leadsTo({ issuer }: Subject, chain: string, trusted: string): boolean {
  const anchors = certificatesOf(trusted);
  const known = [...certificatesOf(chain), ...anchors];
  let at: X509Certificate | null = issuer;
  for (let i = 0; at !== null && i < MAX_CHAIN; i++) {
    const { raw } = at;
    if (anchors.some((anchor) => anchor.raw.equals(raw))) return true;
    at = issuerOf(at, known);
  }
  return false;
}
