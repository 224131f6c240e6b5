/** What is wrong, at the top of everything. */
import { SeverityIcon } from '../icons.tsx';
import { many } from '../format.ts';
import type { Group } from '../model/group.ts';
import type { Model } from '../model.ts';
import type { Problem } from '../problems.ts';

/** More than that are a list of their own: the filter shows them. */
const SHOWN = 6;

const SEVERITY_TEXT = { critical: 'Critical', warning: 'Warning', note: 'Note' } as const;

function order(model: Model): string {
  const groups = [...model.groups.values()];
  const servers = groups.reduce((sum, { peers }) => sum + peers.length, 0);
  if (groups.length === 0) return 'No groups are configured.';
  return `${many(groups.length, 'group')}, ${many(servers, 'server')}, all in order.`;
}

interface AttentionProps {
  model: Model;
  problems: readonly Problem[];
  onShow: (group: Group) => void;
  onAll: () => void;
}

export function Attention({ model, problems, onShow, onAll }: AttentionProps) {
  const wrong = problems.filter(({ severity }) => severity !== 'note');
  const notes = problems.filter(({ severity }) => severity === 'note');
  if (problems.length === 0) {
    return (
      <section class="attention fine" aria-label="What needs attention">
        <p role="status">
          <svg class="severity fine" viewBox="0 0 16 16" aria-hidden="true">
            <circle class="shape" cx="8" cy="8" r="8" />
            <path d="M4.5 8.5l2.5 2.5 4.5-5.5" />
          </svg>
          <span class="what">{order(model)}</span>
        </p>
      </section>
    );
  }
  const shown = [...wrong, ...notes].slice(0, SHOWN);
  const more = problems.length - shown.length;
  return (
    <section class={`attention ${shown[0]!.severity}`} aria-label="What needs attention">
      <ul aria-live="polite">
        {shown.map(({ key, severity, group, title, detail }) => (
          <li key={key} class={severity} data-problem={key}>
            <SeverityIcon severity={severity} />
            <span class="what">
              <span class="hidden">{SEVERITY_TEXT[severity]}: </span>
              {group !== null && (
                <>
                  <button type="button" class="link" onClick={() => onShow(group)}>
                    {group.info.name}
                  </button>{' '}
                </>
              )}
              <strong>{title}</strong> <span class="detail">{detail}</span>
            </span>
          </li>
        ))}
      </ul>
      {more > 0 && (
        <button type="button" class="link more" onClick={onAll}>
          and {more} more: show the groups with problems
        </button>
      )}
    </section>
  );
}
