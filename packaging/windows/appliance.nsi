; The installer for Windows, for one person and without an administrator. On Windows, after freezing:
;   makensis -DVERSION=0.1.0 -DFROZEN=..\..\dist\appliance appliance.nsi
; `makensis -WX` compiles it anywhere, with any folder as FROZEN.
Unicode true
!include MUI2.nsh

!ifndef VERSION
  !define VERSION 0.0.0
!endif
!ifndef FROZEN
  !define FROZEN ..\..\dist\appliance
!endif
!ifndef OUT
  !define OUT ..\..\dist\appliance-${VERSION}-windows.exe
!endif
!define NAME Appliance
!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\${NAME}"
!define WEBVIEW "Microsoft\EdgeUpdate\Clients\{F3017226-FE2A-4295-8BDF-00C3A9A7E4C5}"

Name "${NAME} ${VERSION}"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
RequestExecutionLevel user
SetCompressor /SOLID lzma
VIProductVersion ${VERSION}.0
VIAddVersionKey ProductName "${NAME}"
VIAddVersionKey FileDescription "${NAME} installer"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey LegalCopyright "Apache-2.0"

!define MUI_ICON ..\icons\icon.ico
!define MUI_UNICON ..\icons\icon.ico
!define MUI_FINISHPAGE_RUN "$INSTDIR\appliance.exe"
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE English

Section
  ; A running program holds its files: it is asked to end, and waited for.
  nsExec::Exec 'taskkill /IM appliance.exe'
  Pop $0
  RMDir /r "$INSTDIR"
  SetOutPath "$INSTDIR"
  File /r "${FROZEN}/*"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "$INSTDIR\appliance.exe"
  WriteRegStr HKCU "${UNINSTALL}" DisplayName "${NAME}"
  WriteRegStr HKCU "${UNINSTALL}" DisplayVersion "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" DisplayIcon "$INSTDIR\appliance.exe"
  WriteRegStr HKCU "${UNINSTALL}" UninstallString '"$INSTDIR\uninstall.exe"'
  WriteRegDWORD HKCU "${UNINSTALL}" NoModify 1

  ; Without this runtime a window cannot show the page, and the browser does.
  ReadRegStr $0 HKLM "SOFTWARE\WOW6432Node\${WEBVIEW}" pv
  ReadRegStr $1 HKCU "Software\${WEBVIEW}" pv
  StrCmp "$0$1" "" 0 +2
    DetailPrint "Microsoft's WebView2 is missing: the appliance opens in the browser until it is there."
SectionEnd

Section Uninstall
  nsExec::Exec 'taskkill /IM appliance.exe'
  Pop $0
  RMDir /r "$INSTDIR"
  Delete "$SMPROGRAMS\${NAME}.lnk"
  DeleteRegKey HKCU "${UNINSTALL}"
  ; Chats stay, in %LOCALAPPDATA%\appliance.
SectionEnd
