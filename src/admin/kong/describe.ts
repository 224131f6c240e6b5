/** Schemas as Kong shows them at `/schemas/{name}`. */
import type { EntityCheck, Field, Fields, Json, JsonObject, Schema } from '../../config/kong/schema.ts';

export function describeSchema(schema: Schema): JsonObject {
  return {
    entity_checks: schema.checks.flatMap(describeCheck),
    fields: describeFields(schema.fields),
    ...(schema.shorthands?.url === undefined
      ? {}
      : { shorthand_fields: [{ url: describeField(schema.shorthands.url.field) }] }),
  };
}

function describeFields(fields: Fields): Json[] {
  return Object.entries(fields).map(([name, field]) => ({ [name]: describeField(field) }));
}

function describeField(field: Field): JsonObject {
  const out: JsonObject = { type: field.type };
  if (field.description !== undefined) out.description = field.description;
  if (field.required === true) out.required = true;
  if (field.default !== undefined) out.default = field.default;
  if (field.auto !== undefined) out.auto = true;
  switch (field.type) {
    case 'string':
      if (field.uuid === true) out.uuid = true;
      if (field.unique === true) out.unique = true;
      if (field.oneOf !== undefined) out.one_of = [...field.oneOf];
      if (field.minLength !== undefined) out.len_min = field.minLength;
      break;
    case 'integer':
    case 'number':
      if (field.oneOf !== undefined) out.one_of = [...field.oneOf];
      if (field.between !== undefined) out.between = [...field.between];
      if (field.timestamp === true) out.timestamp = true;
      break;
    case 'array':
    case 'set':
      out.elements = describeField(field.elements);
      if (field.minLength !== undefined) out.len_min = field.minLength;
      break;
    case 'map':
      out.keys = describeField(field.keys);
      out.values = describeField(field.values);
      break;
    case 'record':
      out.fields = describeFields(field.fields);
      break;
    case 'foreign':
      out.reference = field.to;
      if (field.onDelete === 'cascade') out.on_delete = 'cascade';
      break;
    case 'boolean':
      break;
  }
  return out;
}

function describeCheck(check: EntityCheck): JsonObject[] {
  switch (check.kind) {
    case 'conditional': {
      const { must } = check;
      const match: JsonObject =
        must === 'required' ? { required: true } : must === 'null' ? { eq: null } : { one_of: [...must] };
      return [{ conditional: { if_field: check.given, then_field: check.field, then_match: match } }];
    }
    case 'distinct':
    case 'at_least_one_of':
    case 'mutually_required':
      return [{ [check.kind]: [...check.fields] }];
    case 'custom':
      return [{ custom_entity_check: { field_sources: [...check.fields] } }];
  }
}
