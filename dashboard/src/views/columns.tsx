/** The head of a table: columns of texts, then columns of numbers. */

interface ColumnsProps {
  texts: readonly string[];
  numbers: readonly string[];
}

export function Columns({ texts, numbers }: ColumnsProps) {
  return (
    <thead>
      <tr>
        {texts.map((name) => (
          <th key={name} scope="col">
            {name}
          </th>
        ))}
        {numbers.map((name) => (
          <th key={name} scope="col" class="num">
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}
