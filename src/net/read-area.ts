/** Where all plain connections of the thread read: bytes are valid only while they are being given out. */
import { Buffer } from 'node:buffer';

/** Bytes of a read, and of a read of a peer that sends much. */
export const SMALL_READ: number = 64 * 1024;
export const LARGE_READ: number = 512 * 1024;
/** Free bytes before and after what was read: whoever passes it on may put a head or chunk framing around it. */
export const HEADROOM = 4096;
const TAILROOM = 64;

export const readArea: Buffer = Buffer.allocUnsafeSlow(HEADROOM + LARGE_READ + TAILROOM);
/** What libuv reads into. */
export const smallView: Buffer = readArea.subarray(HEADROOM, HEADROOM + SMALL_READ);
export const largeView: Buffer = readArea.subarray(HEADROOM, HEADROOM + LARGE_READ);
