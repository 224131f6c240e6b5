/** One group: a line of what matters, and its servers below when it is open. */
import { useState } from 'preact/hooks';
import type { NameInfo } from '../../../src/admin/dashboard/frame.ts';
import { remove } from '../api.ts';
import { Confirm, type Question } from '../dialog.tsx';
import { Chevron, SeverityIcon, StateIcon } from '../icons.tsx';
import { bytes, count, duration, many, percent, rate, span } from '../format.ts';
import { calm } from '../series.ts';
import type { Group, Peer, PeerState } from '../model/group.ts';
import type { Model } from '../model.ts';
import { Plot, Spark } from '../plot.tsx';
import { type Problem, STATE_TEXT, STATE_WHY, worst } from '../problems.ts';
import { Columns } from './columns.tsx';

interface GroupRowProps {
  model: Model;
  group: Group;
  problems: readonly Problem[];
  open: boolean;
  onToggle: () => void;
  onServer: (peer: Peer) => void;
  onAdd: () => void;
  onSay: (text: string) => void;
}

const STATES: readonly PeerState[] = ['unhealthy', 'unavail', 'checking', 'down', 'draining', 'up'];

/** The servers as a strip: how many are in which state. */
function Strip({ group }: { group: Group }) {
  const counts = STATES.map((state) => ({ state, n: group.peers.filter((peer) => peer.state === state).length }));
  const up = counts.find(({ state }) => state === 'up')!.n;
  return (
    <span class="strip-cell">
      <span class="strip" aria-hidden="true">
        {counts
          .toReversed()
          .filter(({ n }) => n > 0)
          .map(({ state, n }) => (
            <i key={state} class={state} style={{ flexGrow: n }} />
          ))}
      </span>
      <span class="strip-text">
        <b>{up}</b>
        <span class="muted">/{group.peers.length} up</span>
      </span>
    </span>
  );
}

export function GroupRow({ model, group, problems, open, onToggle, onServer, onAdd, onSay }: GroupRowProps) {
  const { info, key, times } = group;
  const severity = worst(problems);
  const id = `group-${key.replaceAll(/[^\w-]/g, '-')}`;
  const requests = calm(group.rps);
  const errors = calm(group.errors);
  return (
    <li class={`group ${open ? 'open' : 'closed'} ${severity ?? 'fine'}`} id={id} data-group={info.name}>
      <h3 class="group-head">
        <button type="button" class="group-toggle" aria-expanded={open} aria-controls={`${id}-body`} onClick={onToggle}>
          <Chevron open={open} />
          <span class="group-name">
            {severity !== null && severity !== 'note' && <SeverityIcon severity={severity} />}
            <span class="name">{info.name}</span>
            {info.door === 'stream' && <span class="badge">TCP/UDP</span>}
            <span class="method">
              {info.method}
              {info.sticky !== '' && `, ${info.sticky}`}
            </span>
          </span>
          <Strip group={group} />
          <span class="cell spark-cell" data-label={info.door === 'http' ? 'req/s' : 'conn/s'}>
            <span class="value">{rate(requests)}</span>
            <Spark values={group.rps} colour="accent" />
          </span>
          <span class="cell times" data-label="time">
            <span class="value">{duration(times.over(0.5))}</span>
            <span class="muted">{duration(times.over(0.95))}</span>
          </span>
          <span class="cell" data-label="active">
            {count(group.active)}
          </span>
          <span class={errors > 0 ? 'cell bad' : 'cell muted'} data-label="5xx">
            {errors > 0 ? percent(errors / Math.max(requests, errors)) : '0'}
          </span>
          <span class={group.queue[0] > 0 ? 'cell warn' : 'cell muted'} data-label="queue">
            {info.queueSize === 0 ? '–' : `${group.queue[0]}/${info.queueSize}`}
          </span>
        </button>
      </h3>
      {open && (
        <div class="group-body" id={`${id}-body`}>
          <div class="plots">
            <Plot
              caption={info.door === 'http' ? 'Requests a second' : 'Connections a second'}
              title={`Requests a second to ${info.name} in the last three minutes`}
              moments={model.moments}
              lines={[
                { label: 'all', colour: 'accent', values: group.rps, area: true },
                { label: info.door === 'http' ? '5xx' : 'failed', colour: 'bad', values: group.errors, area: true },
              ]}
              height={96}
              text={rate}
            />
            <Plot
              caption="Response time"
              title={`Response times of ${info.name} in the last three minutes`}
              moments={model.moments}
              lines={[
                { label: '95 %', colour: 'accent-2', values: times.p95 },
                { label: 'median', colour: 'accent', values: times.p50, area: true },
              ]}
              height={96}
              text={duration}
              least={5}
            />
          </div>
          <Servers model={model} group={group} onServer={onServer} />
          {info.names.length > 0 && <Names model={model} group={group} onSay={onSay} />}
          <p class="group-foot">
            {model.write !== null && info.zone !== null && (
              <button type="button" class="button" onClick={onAdd}>
                Add a server
              </button>
            )}
            <span class="muted">{footnote(model, group)}</span>
          </p>
        </div>
      )}
    </li>
  );
}

function footnote({ write }: Model, { info, zombies }: Group): string {
  const parts: string[] = [];
  if (zombies > 0) parts.push(`${many(zombies, 'removed server')} with requests under way`);
  if (info.zone === null) parts.push('Without a zone it cannot be changed while it runs.');
  else if (write !== null) {
    parts.push(info.stateFile ? 'Changes are kept in its state file.' : 'Changes last until the next reload.');
  }
  return parts.join(' · ');
}

function Servers({ model, group, onServer }: { model: Model; group: Group; onServer: (peer: Peer) => void }) {
  const http = group.info.door === 'http';
  const perSecond = http ? 'Requests/s' : 'Connections/s';
  const errors = http ? ['4xx, 5xx'] : [];
  return (
    <table class="servers">
      <caption class="hidden">Servers of {group.info.name}</caption>
      <Columns
        texts={['Server', 'State']}
        numbers={['Weight', 'Active', perSecond, 'Response', ...errors, 'Failed', 'Checks', 'Traffic']}
      />
      <tbody>
        {group.peers.map((peer) => (
          <Server
            key={peer.id}
            now={model.now}
            http={http}
            checked={group.info.checked}
            peer={peer}
            onOpen={() => onServer(peer)}
          />
        ))}
      </tbody>
    </table>
  );
}

interface ServerProps {
  now: number;
  http: boolean;
  checked: boolean;
  peer: Peer;
  onOpen: () => void;
}

function Server({ now, http, checked, peer, onOpen }: ServerProps) {
  const { info, state } = peer;
  const since = peer.get('downSince');
  const active = peer.get('active');
  const full = info.maxConns > 0 && active >= info.maxConns;
  const fails = peer.get('fails');
  return (
    <tr class={state} data-server={info.address}>
      <th scope="row">
        <button
          type="button"
          class="link mono"
          onClick={onOpen}
          aria-label={`${info.address}, ${STATE_TEXT[state]}: details`}
        >
          {info.address}
        </button>
        {info.name !== info.address && <span class="muted sub">{info.name}</span>}
        {info.backup && <span class="badge">backup</span>}
      </th>
      <td class="state" title={STATE_WHY[state]}>
        <StateIcon state={state} />
        <span>{STATE_TEXT[state]}</span>
        {since > 0 && state !== 'up' && <span class="muted">{span(now - since)}</span>}
      </td>
      <td class="num" data-label="Weight">
        {info.weight}
      </td>
      <td class={full ? 'num warn' : 'num'} data-label="Active">
        {count(active)}
        {info.maxConns > 0 && <span class="muted">/{info.maxConns}</span>}
      </td>
      <td class="num" data-label={http ? 'Requests/s' : 'Connections/s'}>
        {rate(calm(peer.rps))}
        <Spark values={peer.rps} colour="accent" />
      </td>
      <td class="num" data-label="Response">
        {duration(peer.get('responseMs') === 0 ? null : peer.get('responseMs'))}
        <Spark values={peer.ms} colour="accent-2" least={5} />
      </td>
      {http && (
        <td class="num" data-label="4xx, 5xx">
          <span class="muted">{count(peer.answers(4))}</span>{' '}
          <span class={peer.answers(5) > 0 ? 'bad' : 'muted'}>{count(peer.answers(5))}</span>
        </td>
      )}
      <td class={fails > 0 ? 'num warn' : 'num muted'} data-label="Failed">
        {count(fails)}
      </td>
      <td class="num" data-label="Checks">
        {checked ? <Checks peer={peer} /> : <span class="muted">none</span>}
      </td>
      <td class="num" data-label="Traffic">
        {bytes(calm(peer.traffic))}
        <span class="muted">/s</span>
      </td>
    </tr>
  );
}

function Checks({ peer }: { peer: Peer }) {
  const last = peer.get('lastPassed');
  const failed = peer.get('checkFails');
  const text = last === 1 ? 'passed' : last === 0 ? 'failed' : 'not yet';
  return (
    <>
      <span class={last === 0 ? 'bad' : ''}>{text}</span>{' '}
      <span class="muted">
        {failed > 0 ? `${count(failed)} of ${count(peer.get('checks'))} failed` : count(peer.get('checks'))}
      </span>
    </>
  );
}

/** Names that are followed in DNS; with one goes what it stands for. */
function Names({ model, group, onSay }: { model: Model; group: Group; onSay: (text: string) => void }) {
  const [question, setQuestion] = useState<Question | null>(null);
  const { write } = model;
  const { info } = group;
  const ask = ({ id, server }: NameInfo): void => {
    if (write === null) return;
    setQuestion({
      title: `Remove ${server}?`,
      text: <p>All servers that come from it leave {info.name}; requests under way go on to their end.</p>,
      action: 'Remove',
      run: async () => {
        await remove(write, info, id);
        onSay(`${server}: removed from ${info.name}`);
      },
    });
  };
  return (
    <div class="names">
      <span class="muted">From DNS</span>
      {info.names.map((name) => (
        <span key={name.id} class="dns-name">
          <span class="mono">{name.server}</span>
          {name.service !== '' && <span class="muted"> service {name.service}</span>}
          {write !== null && info.zone !== null && (
            <button type="button" class="link" aria-label={`Remove ${name.server}`} onClick={() => ask(name)}>
              remove
            </button>
          )}
        </span>
      ))}
      {question !== null && <Confirm {...question} onClose={() => setQuestion(null)} />}
    </div>
  );
}
