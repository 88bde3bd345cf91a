import { useId } from "react";

interface SegmentedChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}

/** A choice of one among a few visible options. */
export function SegmentedChoice<T extends string>(props: SegmentedChoiceProps<T>) {
  const { label, value, options, onChange } = props;
  const name = useId();
  return (
    <fieldset>
      <legend className="mb-1.5 text-sm font-medium">{label}</legend>
      <div className="flex gap-0.5 rounded-control bg-hover p-0.5">
        {options.map((option) => (
          <label
            key={option.value}
            className="flex min-h-8 flex-1 cursor-pointer items-center justify-center rounded-[0.5rem] px-2 text-center text-sm text-muted has-checked:bg-bg has-checked:text-text has-checked:shadow-float has-focus-visible:outline-2 has-focus-visible:outline-accent pointer-coarse:min-h-10"
          >
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === value}
              onChange={() => {
                onChange(option.value);
              }}
              className="sr-only"
            />
            {option.label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
