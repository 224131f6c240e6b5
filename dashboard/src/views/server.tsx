/** One server closely: its numbers, and what an operator may do with it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { BUCKET_BOUNDS } from '../../../src/admin/dashboard/frame.ts';
import { change, remove, type ServerFields } from '../api.ts';
import { Confirm, Dialog, Failure, type Question } from '../dialog.tsx';
import { bytes, clockTime, count, duration, percent, rate, span, times } from '../format.ts';
import { StateIcon } from '../icons.tsx';
import { calm } from '../series.ts';
import type { Group, Peer } from '../model/group.ts';
import type { Model } from '../model.ts';
import { Plot } from '../plot.tsx';
import { STATE_TEXT, STATE_WHY } from '../problems.ts';

interface ServerProps {
  model: Model;
  group: Group;
  peer: Peer;
  onSay: (text: string) => void;
  onClose: () => void;
}

export function ServerDialog({ model, group, peer, onSay, onClose }: ServerProps) {
  const { info, state } = peer;
  const gone = !group.peers.includes(peer) || !model.groups.has(group.key);
  const since = peer.get('downSince');
  const title = (
    <>
      <span class="mono">{info.address}</span> <span class="muted">in {group.info.name}</span>
    </>
  );
  return (
    <Dialog title={title} kind="server" onClose={onClose}>
      <p class="state-line">
        <StateIcon state={state} />
        <strong>{gone ? 'Removed' : STATE_TEXT[state]}</strong>
        <span class="muted">
          {gone ? 'it is not in the group any more' : STATE_WHY[state]}
          {!gone && since > 0 && state !== 'up' && `; for ${span(model.now - since)}`}
        </span>
      </p>
      {!gone && <Actions model={model} group={group} peer={peer} onSay={onSay} onClose={onClose} />}
      <div class="plots">
        <Plot
          caption={group.info.door === 'http' ? 'Requests a second' : 'Connections a second'}
          title={`Requests a second to ${info.address}`}
          moments={model.moments}
          lines={[
            { label: 'all', colour: 'accent', values: peer.rps, area: true },
            { label: group.info.door === 'http' ? '5xx' : 'failed', colour: 'bad', values: peer.errors, area: true },
          ]}
          height={84}
          text={rate}
        />
        <Plot
          caption="Response time"
          title={`Mean response time of ${info.address}`}
          moments={model.moments}
          lines={[{ label: 'mean', colour: 'accent-2', values: peer.ms, area: true }]}
          height={84}
          text={duration}
          least={5}
        />
      </div>
      <Numbers group={group} peer={peer} now={model.now} />
    </Dialog>
  );
}

function Pair({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Numbers({ group, peer, now }: { group: Group; peer: Peer; now: number }) {
  const http = group.info.door === 'http';
  const { info } = peer;
  const checks = peer.get('checks');
  return (
    <>
      <dl class="numbers">
        <Pair name={http ? 'Requests' : 'Connections'}>{count(peer.get('requests'))}</Pair>
        <Pair name="Active">
          {count(peer.get('active'))}
          {info.maxConns > 0 && ` of ${info.maxConns}`}
        </Pair>
        {http && (
          <Pair name="2xx, 3xx, 4xx, 5xx">{[2, 3, 4, 5].map((digit) => count(peer.answers(digit))).join(', ')}</Pair>
        )}
        <Pair name={http ? 'Header, response' : 'Connect, first byte'}>
          {duration(peer.get('headerMs') || null)}, {duration(peer.get('responseMs') || null)}
        </Pair>
        <Pair name="Sent, received">
          {bytes(peer.get('sent'))}, {bytes(peer.get('received'))}
        </Pair>
        <Pair name="Failed attempts">
          {count(peer.get('fails'))}
          {peer.get('unavail') > 0 && `, unavailable ${times(peer.get('unavail'))}`}
        </Pair>
        <Pair name="Health checks">
          {checks === 0
            ? 'none'
            : `${count(checks)}, ${percent(1 - peer.get('checkFails') / checks)} passed` +
              (peer.get('unhealthy') > 0 ? `, unhealthy ${times(peer.get('unhealthy'))}` : '')}
        </Pair>
        <Pair name="Traffic now">{bytes(calm(peer.traffic))}/s</Pair>
        <Pair name="Limits">
          max_fails {info.maxFails}, fail_timeout {info.failTimeoutSec}s
          {info.slowStartMs > 0 && `, slow_start ${info.slowStartMs / 1000}s`}
        </Pair>
      </dl>
      <Histogram peer={peer} />
      <p class="muted aside">As of {clockTime(now)}, since the process started.</p>
    </>
  );
}

/** Response times so far, by bucket. */
function Histogram({ peer }: { peer: Peer }) {
  const { hist } = peer;
  const all = hist.reduce((sum, n) => sum + n, 0);
  if (all === 0) return null;
  const most = Math.max(...hist);
  return (
    <figure class="histogram" aria-label="Response times, by length">
      <figcaption>Response times, {count(all)} answers</figcaption>
      <ol>
        {hist.map((n, i) => {
          const bound = BUCKET_BOUNDS[i];
          const name = bound === undefined ? `> ${duration(BUCKET_BOUNDS.at(-1)!)}` : `≤ ${duration(bound)}`;
          return (
            <li key={name} title={`${name}: ${count(n)} (${percent(n / all)})`}>
              <span class="bar-space" aria-hidden="true">
                <i style={{ height: `${(n / most) * 100}%` }} />
              </span>
              <span class="bound">{bound === undefined ? 'more' : bound < 1000 ? bound : `${bound / 1000}s`}</span>
              <span class="hidden">
                {name}: {n}
              </span>
            </li>
          );
        })}
      </ol>
    </figure>
  );
}

function Actions({ model, group, peer, onSay, onClose }: ServerProps) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const [question, setQuestion] = useState<Question | null>(null);
  const { write } = model;
  const { info } = peer;
  if (write === null) return null;
  if (group.info.zone === null) {
    return <p class="muted aside">Its group has no zone, so it cannot be changed while it runs.</p>;
  }
  const apply = async (fields: ServerFields, said: string): Promise<void> => {
    await change(write, group.info, info.id, fields);
    onSay(`${info.address}: ${said}`);
  };
  const run = async (fields: ServerFields, said: string): Promise<void> => {
    setBusy(true);
    setFailure('');
    try {
      await apply(fields, said);
    } catch (error) {
      setFailure((error as Error).message);
    }
    setBusy(false);
  };
  const last = peer.state === 'up' && group.peers.filter(({ state }) => state === 'up').length === 1;
  const lastText = last ? (
    <p class="strong">
      It is the last server of {group.info.name} that takes requests: they will be answered with 502.
    </p>
  ) : null;
  const ask = (title: string, text: ComponentChildren, action: string, run: () => Promise<void>): void =>
    setQuestion({ title, text: [text, lastText], action, run });

  const drain = (): void => {
    const fields = { drain: true, down: false };
    if (!last) return void run(fields, 'draining');
    ask(`Drain ${info.address}?`, null, 'Drain', () => apply(fields, 'draining'));
  };
  const disable = (): void => {
    const text = <p>It gets no requests any more. Those under way ({peer.get('active')}) go on to their end.</p>;
    ask(`Disable ${info.address}?`, text, 'Disable', () => apply({ down: true, ...undrained }, 'disabled'));
  };
  const removal = (): void => {
    const text = (
      <p>
        It leaves {group.info.name}; requests under way ({peer.get('active')}) go on to their end.
        {!group.info.stateFile && ' A reload of the configuration brings back what stands in it.'}
      </p>
    );
    ask(`Remove ${info.address}?`, text, 'Remove', async () => {
      await remove(write, group.info, info.id);
      onSay(`${info.address}: removed from ${group.info.name}`);
      onClose();
    });
  };
  const http = group.info.door === 'http';
  const undrained: ServerFields = http ? { drain: false } : {};
  const inUse = peer.state !== 'down' && peer.state !== 'draining';
  return (
    <section class="actions" aria-label="Change">
      <div class="choice" role="group" aria-label="Use">
        <button
          type="button"
          aria-pressed={inUse}
          disabled={busy}
          onClick={() => inUse || void run({ down: false, ...undrained }, 'in use')}
        >
          In use
        </button>
        {http && (
          <button
            type="button"
            aria-pressed={peer.state === 'draining'}
            disabled={busy}
            onClick={() => peer.state === 'draining' || drain()}
          >
            Drain
          </button>
        )}
        <button
          type="button"
          aria-pressed={peer.state === 'down'}
          disabled={busy}
          onClick={() => peer.state === 'down' || disable()}
        >
          Disable
        </button>
      </div>
      <Settings peer={peer} busy={busy} onSave={(fields) => void run(fields, 'changed')} />
      {info.resolved ? (
        <p class="muted aside">It comes from DNS, and goes with its record.</p>
      ) : (
        <button type="button" class="button danger quiet" disabled={busy} onClick={removal}>
          Remove …
        </button>
      )}
      {failure !== '' && <Failure text={failure} />}
      {question !== null && <Confirm {...question} onClose={() => setQuestion(null)} />}
    </section>
  );
}

/** Weight and connections; only what was changed is sent. */
function Settings({ peer, busy, onSave }: { peer: Peer; busy: boolean; onSave: (fields: ServerFields) => void }) {
  const { weight, maxConns } = peer.info;
  const [given, setGiven] = useState<{ weight?: string; maxConns?: string }>({});
  const shown = { weight: given.weight ?? String(weight), maxConns: given.maxConns ?? String(maxConns) };
  const changed = shown.weight !== String(weight) || shown.maxConns !== String(maxConns);
  return (
    <form
      class="settings"
      onSubmit={(event) => {
        event.preventDefault();
        onSave({
          ...(shown.weight === String(weight) ? null : { weight: Number(shown.weight) }),
          ...(shown.maxConns === String(maxConns) ? null : { max_conns: Number(shown.maxConns) }),
        });
        setGiven({});
      }}
    >
      <label>
        <span>Weight</span>
        <input
          name="weight"
          type="number"
          min="1"
          step="1"
          required
          value={shown.weight}
          onInput={({ currentTarget: { value } }) => setGiven({ ...given, weight: value })}
        />
      </label>
      <label>
        <span>Most connections</span>
        <input
          name="max_conns"
          type="number"
          min="0"
          step="1"
          required
          value={shown.maxConns}
          onInput={({ currentTarget: { value } }) => setGiven({ ...given, maxConns: value })}
        />
      </label>
      <button type="submit" class="button" disabled={busy || !changed}>
        Save
      </button>
    </form>
  );
}
