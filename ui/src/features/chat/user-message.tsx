import { memo } from "react";

interface UserMessageProps {
  content: string;
}

export const UserMessage = memo(function UserMessage({ content }: UserMessageProps) {
  return (
    <article aria-label="Your message" className="flex justify-end">
      <div className="max-w-[85%] rounded-panel bg-raised px-4 py-2.5 whitespace-pre-wrap wrap-anywhere">
        {content}
      </div>
    </article>
  );
});
