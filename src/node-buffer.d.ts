/** Fast paths of Buffer that Node has and @types/node leaves out: `toString('latin1', …)` without its checks. */
declare global {
  interface Buffer {
    latin1Slice(start?: number, end?: number): string;
    latin1Write(text: string, offset?: number, length?: number): number;
  }
}

export {};
