/** What must hold of every frame, whoever sends it (RFC 9113 section 6). Pure. */
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FRAME_SIZE_ERROR,
  GOAWAY,
  HEADERS,
  PING,
  PRIORITY,
  PROTOCOL_ERROR,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from './constants.ts';
import { frameName } from './frame-reader.ts';
import type { FrameReader } from './frame-reader.ts';

export interface FrameFault {
  /** An error code of RFC 9113. */
  error: number;
  message: string;
}

/** What is wrong with the head of a frame that has begun, or null. */
export function frameFault(reader: FrameReader): FrameFault | null {
  const { type, id, length } = reader;
  switch (type) {
    case DATA:
    case HEADERS:
    case CONTINUATION:
      return id === 0 ? wrongId(type) : null;
    case PRIORITY:
      return length !== 5 ? wrongLength(type, length) : id === 0 ? wrongId(type) : null;
    case RST_STREAM:
      return length !== 4 ? wrongLength(type, length) : id === 0 ? wrongId(type) : null;
    case WINDOW_UPDATE:
      return length !== 4 ? wrongLength(type, length) : null;
    case SETTINGS:
      if (id !== 0) return wrongId(type);
      return (reader.flags === FLAG_ACK ? length !== 0 : length % 6 !== 0) ? wrongLength(type, length) : null;
    case PING:
      return length !== 8 ? wrongLength(type, length) : id !== 0 ? wrongId(type) : null;
    case GOAWAY:
      return length < 8 ? wrongLength(type, length) : id !== 0 ? wrongId(type) : null;
    default:
      return null;
  }
}

function wrongLength(type: number, length: number): FrameFault {
  return { error: FRAME_SIZE_ERROR, message: `${frameName(type)} frame with incorrect length ${length}` };
}

function wrongId(type: number): FrameFault {
  return { error: PROTOCOL_ERROR, message: `${frameName(type)} frame with incorrect identifier` };
}
