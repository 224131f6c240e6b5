/**
 * What becomes of an answer whose client is slow (`proxy_buffering`), or that is kept in a file (a cache,
 * `proxy_store`). Not in use for answers that are passed on as they come, which are nearly all.
 *
 * A client that does not take more for a moment is waited for; one that makes the server wait for longer gets a buffer.
 */
import type { Buffer } from 'node:buffer';
import { createTemporary, removeFile } from '../../cache/write-file.ts';
import { Timer } from '../../net/timers.ts';
import { failedText } from '../../observe/errno.ts';
import type { HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { AnswerBuffer } from './answer-buffer.ts';
import type { BufferOwner } from './answer-buffer.ts';
import { abandonDetached, endDetached, leaveClient } from './detachment.ts';
import type { Exchange } from './exchange.ts';

/** How long a server may be held up by a client that takes nothing for a moment. */
const PATIENCE_MS = 60;

/** Who wants all of an answer in a file. */
export interface AnswerKeeper {
  /** Where the body begins in the file. */
  readonly base: number;
  /** A descriptor to write the body with, which is closed by the buffer; null: there can be none, as was logged. */
  openFile(): number | null;
  /** All of the body: what `openFile` gave holds it, or it is `whole`. Called once, unless `fail` is. */
  complete(whole: Buffer | null, length: number): void;
  /** The file could not be written, or the answer broke off. */
  fail(): void;
}

export class AnswerBuffering implements BufferOwner {
  readonly #exchange: Exchange;
  readonly #timer = new Timer(() => this.#outOfPatience());
  #buffer: AnswerBuffer | null = null;
  #keeper: AnswerKeeper | null = null;
  #path = '';

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Bytes go through a buffer. */
  get active(): boolean {
    return this.#buffer !== null;
  }

  /** All of an answer is kept, from its first byte on. @param alone no client gets it */
  keep(keeper: AnswerKeeper, alone: boolean): void {
    this.#keeper = keeper;
    this.#buffer = this.#make(keeper.base);
    if (alone) this.#buffer.mute();
  }

  #make(base: number): AnswerBuffer {
    const { config } = this.#exchange.plan;
    return new AnswerBuffer(this, {
      memory: config.buffers.count * config.buffers.size,
      file: config.maxTempFileSize,
      keep: this.#keeper !== null,
      base,
    });
  }

  /** The client does not take more at present. @param buffered the server need not wait for it */
  held(buffered: boolean): void {
    this.#exchange.channel!.pause();
    if (buffered) this.#timer.arm(PATIENCE_MS);
  }

  #outOfPatience(): void {
    const { channel } = this.#exchange;
    if (channel === null || this.#buffer !== null) return;
    this.#buffer = this.#make(0);
    this.#buffer.hold();
    channel.resume();
  }

  /** The client takes more. */
  drained(): void {
    if (this.#buffer !== null) {
      this.#buffer.drained();
      return;
    }
    this.#timer.cancel();
    this.#exchange.channel?.resume();
  }

  append(buf: Buffer, start: number, end: number, last: boolean): void {
    const buffer = this.#buffer!;
    const { r } = this.#exchange;
    // What the client asked for was the head alone, and that is there: it need not wait for the body.
    if (!last && !r.headSent && r.headerOnly && this.#keeper !== null) {
      leaveClient(this.#exchange);
      r.sendHead(null, 0, 0, true);
    }
    // The head does not wait for the body.
    if (end === start && !last) {
      if (!r.headSent && !this.#exchange.detached && this.forward(null, 0, 0, false) === HELD) buffer.hold();
      return;
    }
    buffer.append(buf, start, end, last);
    // What the log may ask for must outlive the channel's next exchange.
    if (last && this.#buffer === buffer) this.#exchange.relay.copyHead();
  }

  /** The client is gone, and the answer is kept nevertheless. */
  mute(): void {
    this.#buffer?.mute();
  }

  /** The answer broke off, or is not wanted any more. */
  close(): void {
    this.#timer.cancel();
    const buffer = this.#buffer;
    if (buffer === null) return;
    this.#buffer = null;
    buffer.close();
    const keeper = this.#keeper;
    this.#keeper = null;
    keeper?.fail();
    this.#path = '';
  }

  // ------------------------------------------------------------------------------------ for the buffer

  forward(buf: Buffer | null, start: number, end: number, last: boolean): number {
    const { r } = this.#exchange;
    return r.headSent ? r.sendBody(buf, start, end, last) : r.sendHead(buf, start, end, last);
  }

  pauseServer(): void {
    this.#exchange.channel?.pause();
  }

  resumeServer(): void {
    this.#exchange.channel?.resume();
  }

  openFile(): number | null {
    if (this.#keeper !== null) return this.#keeper.openFile();
    const { r, plan } = this.#exchange;
    try {
      const file = createTemporary(plan.config.tempPath, null);
      this.#path = file.path;
      // It needs no name: whatever happens to us, nothing is left.
      removeFile(file.path);
      this.#log(r, 'warn', `an upstream response is buffered to a temporary file ${file.path}`);
      return file.fd;
    } catch (error) {
      this.#log(r, 'crit', failedText(`open() in "${plan.config.tempPath.dir}"`, error));
      return null;
    }
  }

  fileFailed(error: Error, fatal: boolean): void {
    const exchange = this.#exchange;
    const keeper = this.#keeper;
    if (fatal) {
      exchange.cut(failedText(`pread() "${this.#path}"`, error));
      return;
    }
    this.#log(exchange.r, 'crit', failedText(`pwrite() "${this.#path}"`, error));
    this.#keeper = null;
    keeper?.fail();
    if (exchange.detached) abandonDetached(exchange);
  }

  fileComplete(): void {
    const keeper = this.#keeper;
    const buffer = this.#buffer;
    const exchange = this.#exchange;
    if (keeper === null || buffer === null) return;
    this.#keeper = null;
    keeper.complete(buffer.whole(), buffer.appended);
    if (exchange.detached) endDetached(exchange);
    else buffer.release();
  }

  #log(r: HttpRequest, level: 'warn' | 'crit', message: string): void {
    logRequest(r, level, `${message} while reading upstream`, this.#exchange.upstreamText());
  }
}
