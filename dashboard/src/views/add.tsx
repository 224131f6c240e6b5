/** A new server for a group. */
import { useState } from 'preact/hooks';
import { add, type ServerFields } from '../api.ts';
import { Dialog, Failure } from '../dialog.tsx';
import type { Group } from '../model/group.ts';
import type { Model } from '../model.ts';

interface AddProps {
  model: Model;
  group: Group;
  onSay: (text: string) => void;
  onClose: () => void;
}

/** What the form says; what was left as it is says nothing. */
function fieldsOf(form: FormData): ServerFields {
  const text = (name: string): string => {
    const value = form.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
  const fields: ServerFields = { server: text('server') };
  for (const name of ['weight', 'max_conns', 'max_fails'] as const) {
    if (text(name) !== '') fields[name] = Number(text(name));
  }
  for (const name of ['service', 'fail_timeout', 'slow_start'] as const)
    if (text(name) !== '') fields[name] = text(name);
  for (const name of ['backup', 'down'] as const) if (form.has(name)) fields[name] = true;
  return fields;
}

export function AddDialog({ model, group, onSay, onClose }: AddProps) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const { write } = model;
  const send = async (form: FormData): Promise<void> => {
    if (write === null) return;
    setBusy(true);
    setFailure('');
    const fields = fieldsOf(form);
    try {
      await add(write, group.info, fields);
      onSay(`${fields.server}: added to ${group.info.name}`);
      onClose();
    } catch (error) {
      setFailure((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Add a server to ${group.info.name}`} kind="small" onClose={onClose}>
      <form
        class="add"
        onSubmit={(event) => {
          event.preventDefault();
          void send(new FormData(event.currentTarget));
        }}
      >
        <label class="wide">
          <span>Address, or a name to follow in DNS</span>
          <input name="server" required autocomplete="off" spellcheck={false} placeholder="10.0.0.3:8080" />
        </label>
        <label>
          <span>Weight</span>
          <input name="weight" type="number" min="1" step="1" placeholder="1" />
        </label>
        <label>
          <span>Most connections</span>
          <input name="max_conns" type="number" min="0" step="1" placeholder="no limit" />
        </label>
        <label>
          <span>max_fails</span>
          <input name="max_fails" type="number" min="0" step="1" placeholder="1" />
        </label>
        <label>
          <span>fail_timeout</span>
          <input name="fail_timeout" autocomplete="off" placeholder="10s" />
        </label>
        <label class="wide">
          <span>Service (SRV records of the name)</span>
          <input name="service" autocomplete="off" spellcheck={false} placeholder="none" />
        </label>
        <label class="check">
          <input name="down" type="checkbox" /> <span>Disabled at first</span>
        </label>
        <label class="check">
          <input name="backup" type="checkbox" /> <span>Backup</span>
        </label>
        {failure !== '' && <Failure text={failure} />}
        <div class="buttons wide">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={busy}>
            Add
          </button>
        </div>
      </form>
    </Dialog>
  );
}
