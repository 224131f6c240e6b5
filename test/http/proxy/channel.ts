/** A channel without a socket: bytes in, events out. */
import { Buffer } from 'node:buffer';
import type { Transport } from '../../../src/net/transport.ts';
import type { TransportChannel } from '../../../src/http/proxy/transport-channel.ts';
import type { UpstreamEvents } from '../../../src/http/proxy/upstream-channel.ts';
import type { ResponseHead } from '../../../src/http/wire/response-head.ts';

/** What an answer came to. */
export interface Answer {
  status: number;
  fields: string[];
  reason: string;
  contentLength: number;
  body: string;
  /** The body came to its end. */
  done: boolean;
  /** Kind and text of what went wrong; empty: nothing did. */
  failure: string;
  messages: string[];
  /** The connection could be used again. */
  reusable: boolean;
  /** More came than was announced. */
  extra: boolean;
}

export interface Feed {
  /** The answer to HEAD. */
  headOnly?: boolean;
  limit?: number;
  /** The server ends the connection after the bytes, or resets it. */
  ends?: 'end' | 'reset';
}

const LIMITS = { requests: 1000, timeMs: 3_600_000 };

export class FakeTransport {
  written = '';
  bytesWritten = 0;
  bytesRead = 0;
  closed = false;
  ended = false;
  busy = false;

  write(buf: Buffer, start: number, end: number): number {
    this.written += buf.latin1Slice(start, end);
    this.bytesWritten += end - start;
    return 0;
  }

  pause(): void {}
  resume(): void {}
  slowDown(): void {}
  end(): void {}

  destroy(): void {
    this.closed = true;
  }
}

/** Gives a channel a transport that goes nowhere. */
export function attach(channel: TransportChannel): FakeTransport {
  const fake = new FakeTransport();
  channel.transport = fake as unknown as Transport;
  return fake;
}

/** Feeds an answer in the given pieces to a channel that has begun, and tells what came of it. */
export function answerOf(channel: TransportChannel, pieces: readonly Buffer[], options: Feed = {}): Answer {
  const answer: Answer = {
    status: 0,
    fields: [],
    reason: '',
    contentLength: -1,
    body: '',
    done: false,
    failure: '',
    messages: [],
    reusable: false,
    extra: false,
  };
  const events: UpstreamEvents = {
    onHints() {},
    onHead(head: ResponseHead) {
      answer.status = head.status;
      answer.reason = head.reason();
      answer.contentLength = channel.contentLength;
      for (let i = 0; i < head.count; i++) answer.fields.push(`${head.name(i)}: ${head.value(i)}`);
    },
    onBody(buf, start, end, last) {
      answer.body += buf.latin1Slice(start, end);
      if (!last) return;
      answer.done = true;
      answer.extra = channel.extra;
      answer.reusable = channel.finish(true, LIMITS);
    },
    onFailure({ kind, message }) {
      answer.failure = `${kind}: ${message}`;
    },
    onMessage(level, message) {
      answer.messages.push(`${level}: ${message}`);
    },
    onUpstreamDrain() {},
    onTunnelData() {},
    onTunnelEnd() {},
  };
  channel.begin(events, options.headOnly === true, options.limit ?? 4096);
  for (const piece of pieces) {
    // As in the shared read area: whoever keeps a reference sees what the next read brings.
    const area = Buffer.from(piece);
    channel.onData(area, 0, area.length);
    area.fill(0x58);
  }
  if (options.ends === 'end') channel.onEnd();
  if (options.ends === 'reset') channel.onClose(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
  return answer;
}

/** The bytes whole, byte by byte, and cut in two at every place. */
export function* splits(text: string): Generator<Buffer[]> {
  const all = Buffer.from(text, 'latin1');
  yield [all];
  yield Array.from({ length: all.length }, (_, i) => all.subarray(i, i + 1));
  for (let i = 1; i < all.length; i++) yield [all.subarray(0, i), all.subarray(i)];
}
