/** Signs that differ by shape, not by colour alone. */
import type { PeerState } from './model/group.ts';
import type { Severity } from './problems.ts';

const SHAPES: Readonly<Record<PeerState, string>> = {
  up: 'M3.5 8.5l3 3 6-7',
  draining: 'M8 3v8M4.5 8L8 11.5 11.5 8',
  down: 'M4 8h8',
  unavail: 'M8 4v5M8 11.5v.5',
  checking: 'M4 8h.1M8 8h.1M12 8h.1',
  unhealthy: 'M4.5 4.5l7 7M11.5 4.5l-7 7',
};

export function StateIcon({ state }: { state: PeerState }) {
  return (
    <svg class={`state-icon ${state}`} viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="8" />
      <path d={SHAPES[state]} />
    </svg>
  );
}

const MARKS: Readonly<Record<Severity, string>> = {
  critical: 'M5 5l6 6M11 5l-6 6',
  warning: 'M8 4v5M8 11.5v.5',
  note: 'M8 4.5v.5M8 7.5v4.5',
};

export function SeverityIcon({ severity }: { severity: Severity }) {
  return (
    <svg class={`severity ${severity}`} viewBox="0 0 16 16" aria-hidden="true">
      {severity === 'warning' ? (
        <path class="shape" d="M8 .8L15.6 14.6H.4z" />
      ) : (
        <circle class="shape" cx="8" cy="8" r="8" />
      )}
      <path d={severity === 'warning' ? 'M8 6v4M8 12.3v.2' : MARKS[severity]} />
    </svg>
  );
}

export function Chevron({ open }: { open: boolean }) {
  return (
    <svg class="chevron" viewBox="0 0 16 16" aria-hidden="true">
      <path d={open ? 'M4 6l4 4 4-4' : 'M6 4l4 4-4 4'} />
    </svg>
  );
}

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
      <rect width="16" height="16" rx="4" />
      <path d="M3 5.5c1.7-1.5 3.3-1.5 5 0s3.3 1.5 5 0M3 10.5c1.7-1.5 3.3-1.5 5 0s3.3 1.5 5 0" />
    </svg>
  );
}
