/** SETTINGS in (RFC 9113 section 6.5.2). Pure. */
import type { Buffer } from 'node:buffer';
import {
  DEFAULT_FRAME_SIZE,
  DEFAULT_TABLE_SIZE,
  DEFAULT_WINDOW,
  FLOW_CONTROL_ERROR,
  MAX_FRAME_SIZE,
  MAX_WINDOW,
  PROTOCOL_ERROR,
  SETTING_ENABLE_PUSH,
  SETTING_HEADER_TABLE_SIZE,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_FRAME_SIZE,
} from './constants.ts';
import type { FrameFault } from './frame-check.ts';
import { readUint32 } from './frame-reader.ts';

/** What the other side has asked for. */
export class PeerSettings {
  initialWindow: number = DEFAULT_WINDOW;
  maxFrame: number = DEFAULT_FRAME_SIZE;
  maxStreams: number = Number.MAX_SAFE_INTEGER;
  /** Of the table that it keeps for our header blocks. */
  tableSize: number = DEFAULT_TABLE_SIZE;
  /** It has changed the size of its table: the next header block must say that we use none. */
  tellTableSize = false;

  /** Takes the pairs at `bytes[start, end)`; returns what is wrong with one, or null. Those before it hold. */
  apply(bytes: Buffer, start: number, end: number): FrameFault | null {
    for (let at = start; at < end; at += 6) {
      const value = readUint32(bytes, at + 2);
      switch ((bytes[at]! << 8) | bytes[at + 1]!) {
        case SETTING_INITIAL_WINDOW_SIZE:
          if (value > MAX_WINDOW) return fault(FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE', value);
          this.initialWindow = value;
          break;
        case SETTING_MAX_FRAME_SIZE:
          if (value > MAX_FRAME_SIZE || value < DEFAULT_FRAME_SIZE)
            return fault(PROTOCOL_ERROR, 'MAX_FRAME_SIZE', value);
          this.maxFrame = value;
          break;
        case SETTING_ENABLE_PUSH:
          if (value > 1) return fault(PROTOCOL_ERROR, 'ENABLE_PUSH', value);
          break;
        case SETTING_MAX_CONCURRENT_STREAMS:
          this.maxStreams = value;
          break;
        case SETTING_HEADER_TABLE_SIZE:
          this.tableSize = value;
          this.tellTableSize = true;
      }
    }
    return null;
  }
}

function fault(error: number, name: string, value: number): FrameFault {
  return { error, message: `SETTINGS frame with incorrect ${name} value ${value}` };
}
