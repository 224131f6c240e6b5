/** Reading a .cpuprofile: where the time went, by function. */

type CallFrame = { readonly functionName: string; readonly url: string; readonly lineNumber: number };

export type CpuProfile = {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly startTime: number;
  readonly endTime: number;
  readonly samples?: readonly number[];
  readonly timeDeltas?: readonly number[];
};

export type Summary = {
  /** Length of the recording, microseconds. */
  readonly totalMicros: number;
  /** Of that, not idle. */
  readonly busyMicros: number;
  /** Self time by function, the greatest first. */
  readonly functions: readonly { readonly name: string; readonly where: string; readonly micros: number }[];
};

/** Adds up self time by function; `root` is cut off the front of file names. */
export function summarise(profile: CpuProfile, root: string): Summary {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const byFunction = new Map<string, { name: string; where: string; micros: number }>();
  let idle = 0;
  const samples = profile.samples ?? [];
  samples.forEach((id, index) => {
    // A sample lasts until the next one.
    const micros = profile.timeDeltas?.[index + 1] ?? 0;
    const frame = frames.get(id)!;
    if (frame.functionName === '(idle)') {
      idle += micros;
      return;
    }
    const file = frame.url.replace('file://', '').replace(`${root}/`, '');
    const where = file ? `${file}:${frame.lineNumber + 1}` : '';
    const name = frame.functionName || '(anonymous)';
    const key = `${name} ${where}`;
    const entry = byFunction.get(key);
    if (entry) entry.micros += micros;
    else byFunction.set(key, { name, where, micros });
  });
  const totalMicros = profile.endTime - profile.startTime;
  return {
    totalMicros,
    busyMicros: totalMicros - idle,
    functions: [...byFunction.values()].sort((a, b) => b.micros - a.micros),
  };
}
