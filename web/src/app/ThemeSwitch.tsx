import { useMantineColorScheme } from "@mantine/core";
import { Icon, type IconName } from "../components/Icon";
import { HeaderMenu, HeaderMenuEntry } from "./HeaderMenu";

const SCHEMES: { value: "auto" | "light" | "dark"; label: string; icon: IconName }[] = [
  { value: "auto", label: "As the system", icon: "screen" },
  { value: "light", label: "Light", icon: "sun" },
  { value: "dark", label: "Dark", icon: "moon" },
];

export function ThemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const chosen = SCHEMES.find(({ value }) => value === colorScheme);
  return (
    <HeaderMenu label={`Theme: ${chosen?.label ?? ""}`} edge="end" button={<Icon name={chosen?.icon ?? "screen"} />}>
      {SCHEMES.map(({ value, label, icon }) => (
        <HeaderMenuEntry key={value} icon={icon} chosen={value === colorScheme} onClick={() => setColorScheme(value)}>{label}</HeaderMenuEntry>
      ))}
    </HeaderMenu>
  );
}
