import { inputClass } from "@/components/field";

interface InheritingSelectProps {
  id: string;
  describedBy: string | undefined;
  /** null: inherited. */
  value: string | null;
  /** The text of the inherited value. */
  inherited: string;
  options: readonly string[];
  nameOf: (value: string) => string;
  onSet: (value: string | null) => void;
}

/** A select whose first option is the inherited value. */
export function InheritingSelect(props: InheritingSelectProps) {
  const { id, describedBy, value, inherited, options, nameOf, onSet } = props;
  // A value that no longer exists is still the one that is set.
  const gone = value !== null && !options.includes(value);
  return (
    <select
      id={id}
      aria-describedby={describedBy}
      value={value ?? ""}
      onChange={(event) => {
        onSet(event.target.value === "" ? null : event.target.value);
      }}
      className={inputClass}
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
