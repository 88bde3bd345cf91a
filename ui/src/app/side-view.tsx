import { Suspense } from "react";
import { useTranslation } from "react-i18next";

import { pageViews, type PageView, type PageViewName, type PageViewProps } from "@/app/views";

const components = Object.fromEntries(
  pageViews.map(({ name, component }) => [name, component]),
) as Record<PageViewName, PageView["component"]>;

interface SideViewProps extends PageViewProps {
  name: PageViewName;
}

/** A view beside the chat. */
export function SideView({ name, ...props }: SideViewProps) {
  const { t } = useTranslation();
  const View = components[name];
  return (
    <Suspense fallback={<p className="p-8 text-sm text-faint">{t("app.loadingView")}</p>}>
      <View {...props} />
    </Suspense>
  );
}
