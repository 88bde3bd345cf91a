import { inputLook } from "@/components/field";

interface InheritingSelectProps {
  id: string;
  describedBy: string | undefined;
  /** null: what is inherited counts. */
  value: string | null;
  /** What it says when nothing is set. */
  inherited: string;
  options: readonly string[];
  nameOf: (value: string) => string;
  onSet: (value: string | null) => void;
}

/** One of several, or what stands above this setting. */
export function InheritingSelect(props: InheritingSelectProps) {
  const { id, describedBy, value, inherited, options, nameOf, onSet } = props;
  // One that was chosen and is gone is still what is set.
  const gone = value !== null && !options.includes(value);
  return (
    <select
      id={id}
      aria-describedby={describedBy}
      value={value ?? ""}
      onChange={(event) => {
        onSet(event.target.value === "" ? null : event.target.value);
      }}
      className={inputLook}
    >
      <option value="">{inherited}</option>
      {[...options, ...(gone ? [value] : [])].map((one) => (
        <option key={one} value={one}>
          {nameOf(one)}
        </option>
      ))}
    </select>
  );
}
