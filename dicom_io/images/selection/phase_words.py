"""The words by which sites name a contrast phase, and the words beside which they mean something else.

Data alone, to be read by a radiologist; ``phase_reading.py`` says what comes of it. Entries are parted by commas and
written as they are compared: small letters, no accents. A star stands for any ending. Characters of Chinese origin and
Hangul are found inside a line, spaces between them or not; every other entry is whole words.
"""

from typing import Final

from core.model_config import Phase

ByLanguage = dict[str, str]

FIRM: Final[dict[Phase, ByLanguage]] = {
    "native": {
        "en": "unenhanced, unenh, nonenhanced, noncontrast, noncontrasted, noncon, non con, no con, non ce, ncct, "
        "nect, precontrast, precon, pre con, pre ce, true non contrast, uninfused, without c, wo c",
        "de": "nativphase, nativserie, nativscan, nativaufnahme, nativct, unverstarkt, unkontrastiert*, kontrastlos, "
        "o km, okm, leerserie, leeraufnahme",
        "fr": "a blanc, passage a blanc",
        "es": "precontraste, sin civ, en vacio, fase vacio, tc vacio",
        "it": "smdc, s mdc, precontrasto",
        "nl": "blanco fase",
        "pt": "precontraste",
        "ja": "非造影, 造影前, 造影なし, プレーン, 造影剤なし, 造影剤未使用, 単純相, 単純CT, 単純MRI",
        "ko": "비조영, 비조영증강, 조영전, 조영증강전, 조영제없이, 조영제없는, 조영없이, 무조영, 조영안함, 비조영제",
    },
    "arterial": {
        "en": "corticomed*, cortico med*",
        "de": "arterielle phase, arteriellen phase, kortikomedullar*, corticomedullar*, kortiko medullar*",
        "fr": "corticomedullaire, cortico medullaire, corticomedullaires",
        "es": "corticomedular, cortico medular",
        "it": "corticomidollare, cortico midollare",
        "nl": "corticomedullair*, cortico medullair*",
        "pt": "corticomedular, cortico medular",
        "ja": "動脈相, 動脈優位相, 動脈早期相, 動脈後期相, 皮髄相, 皮髄境界相, 皮質相, 皮質髄質相",
        "ko": "동맥기, 동맥상, 동맥조기, 동맥후기, 피질수질기, 피수질기, 피질기",
    },
    "portal": {
        "en": "portal venous, portovenous, porto venous, portalvenous, portal vein phase, nephrograph*, nephrogram, "
        "nephrogenic",
        "de": "portalvenos*, portalvenoes*, portovenos*, portovenoes*, portal venos*, portal venoes*, porto venos*, "
        "porto venoes*, portalven, portoven, portven, pfortaderphase, nephrogen*, nephrographisch*, nephrografisch*, "
        "nephrogramm",
        "fr": "veineux portal, veineuse portale, portal veineux, portale veineuse, portoveineu*, porto veineu*, "
        "nephrographique, nephrogramme",
        "es": "fase vena porta, nefrogenica, venosa portal, venoso portal, portal venosa, portal venoso, portovenosa, "
        "porto venosa, portovenoso, nefrografica, nefrografico, nefrograma",
        "it": "venosa portale, portale venosa, portovenosa, porto venosa, nefrografica, nefrografico, nefrogramma",
        "nl": "portaal veneu*, portaalveneu*, portoveneu*, porto veneu*, portaveneu*, nefrografisch*, nefrogram, "
        "nefrogene fase",
        "pt": "venosa portal, portal venosa, portovenosa, porto venosa, nefrografica, nefrografico",
        "ja": "門脈相, 門脈優位相, 門静脈相, 腎実質相, 腎髄質相, ネフログラム相",
        "ko": "문맥기, 문맥상, 간문맥기, 문정맥기, 문맥정맥기, 신실질기, 신장실질기, 신조영기, 신조영상",
    },
    "delayed": {
        "en": "excretory, excretion phase, urographic, urogram phase, pyelographic, pyelogram phase, "
        "nephropyelographic",
        "de": "ausscheidungsphase, ausscheidungs phase, urographisch*, urografisch*, gleichgewichtsphase, "
        "aquilibriumsphase, spatphase, spaetphase, exkretorisch*, exkretionsphase, urogrammphase, ausscheidungsserie",
        "fr": "excreteur, excretrice, excretoire, temps urinaire, temps d excretion, urographique, pyelographique",
        "es": "excretora, excretor, excretoria, urografica, pielografica, fase de eliminacion, fase eliminacion",
        "it": "escretoria, escretrice, escretiva, urografica, pielografica",
        "nl": "uitscheidingsfase, evenwichtsfase, uitscheiding, excretie, excretie fase, "
        "excretiefase, excretoire, urografische",
        "pt": "excretora, excretoria, urografica, pielografica, fase de eliminacao, fase de excrecao",
        "ja": "平衡相, 遅延相, 排泄相, 遅延像, 腎盂相, 尿路相, 晩期相, 晩期平衡相",
        "ko": "지연기, 지연상, 지연영상, 평형기, 배설기, 배뇨기, 신우기, 지연기영상, 지연 영상",
    },
}
"""Words of hardly anything but a phase; without contrast agent, and where the noun is in the word, they are clear."""

COMMON: Final[dict[Phase, ByLanguage]] = {
    "native": {
        "en": "native, plain",
        "de": "nativ, native, nativer, natives",
        "fr": "",
        "es": "simple, basal, nativa",
        "it": "basale, nativa, diretta, diretto",
        "nl": "blanco, blanko",
        "pt": "simples, nativa",
        "ja": "単純",
        "ko": "단순",
    },
    "arterial": {
        "en": "arterial",
        "de": "arteriell, arterielle, arteriellen, arterieller, arterielles",
        "fr": "arteriel, arterielle",
        "es": "arterial",
        "it": "arterioso, arteriosa",
        "nl": "arterieel, arteriele",
        "pt": "arterial",
    },
    "portal": {
        "en": "portal",
        "de": "portal, portale, portalen",
        "fr": "portal, portale",
        "es": "portal",
        "it": "portale",
        "nl": "portaal, portale",
        "pt": "portal",
    },
    "delayed": {
        "en": "delayed, delays, equilibrium",
        "de": "verzogert, verzogerte, equilibrium, aquilibrium, ausscheidung",
        "fr": "equilibre, retarde, retardee",
        "es": "equilibrio, retardada, retardado, retrasada",
        "it": "equilibrio, ritardata",
        "nl": "evenwicht, vertraagd, vertraagde",
        "pt": "equilibrio, retardada",
    },
}
"""Words of other things too: they decide beside a second sign, or where nothing unknown stands beside them."""

SHORT: Final[dict[Phase, ByLanguage]] = {
    "native": {"en": "nc, tnc, c-, iv-", "fr": "spc", "es": "s c", "pt": "s c"},
    "arterial": {"en": "art, hap, eap, cmp, arter"},
    "portal": {"en": "pv, pvp, ven, port ven, pven, nephro", "es": "porta"},
    "delayed": {"en": "del, delay, equil, excr", "de": "verzogerung"},
}
"""Abbreviations and everyday words: they decide beside a second sign only, and only where nothing unknown stands by."""

VENOUS: Final[ByLanguage] = {
    "en": "venous",
    "de": "venos, venose, venosen, venoser, venoes, venoese, venoesen, venoeser",
    "fr": "veineux, veineuse",
    "es": "venosa, venoso",
    "it": "venosa, venoso",
    "nl": "veneus, veneuze",
    "pt": "venosa, venoso",
    "ja": "静脈, 静脈優位",
    "ko": "정맥",
}
"""The portal phase of the trunk; with *late* one site means the portal phase, another the delayed: a time decides."""

LATE: Final = (
    "late, spat, spate, spater, spaet, spaete, tardif, tardive, tardio, tardia, tardivo, tardiva, laat, 後期, 후기"
)
"""Before or after an enhanced phase it qualifies that; standing alone it is a short word of the delayed one."""
EARLY: Final = (
    "early, dominant, fruh, fruhe, frueh, precoce, precoz, vroeg, vroege, 早期, 조기, 초기, mid, middle, hepatic, "
    "hepatique, hepatica, hepatisch*, hepatische, leber"
)
"""Qualifiers that are no phase by themselves."""
PREFIXES: Final = "spat, spaet, fruh, frueh, laat, vroeg, post, pra, prae, late, early"
"""Parts that are read on their own at the head of a compound word: *spatarteriell* is *spat arteriell*."""
NOUN: Final = "phase, fase, temps, tps, tempo, phasenbild, ph, 相, 기, time point, timepoint, scan phase, phasis"
"""Beside a word of a phase they leave no doubt that it is meant; at the tail of a compound word too."""
SEVERAL: Final = (
    "2 phase, 3 phase, 4 phase, 5 phase, 2 phasen, 3 phasen, 4 phasen, 2 fasen, 3 fasen, 4 fasen, 2 fases, 3 fases, "
    "4 fases, 3 phasig, multiphase, multi phase, multiphasic, biphasic, triphasic, dual phase, triple phase, "
    "two phase, three phase, four phase, biphasisch*, triphasisch*, multiphasisch*, mehrphasig*, dreiphasig*, "
    "triphasique, multiphasique, trifasico, trifasica, multifasico, multifasica, bifasico, bifasica, dynamic, "
    "dynamik, dyn, dynamique, dinamico, dinamica, dynamisch*, ダイナミック, 역동적, 다중시기"
)
"""A count of phases names none."""

WITHOUT: Final = (
    "without, wo, no, non, not, ohne, kein, keine, keinem, nicht, sans, sin, senza, zonder, geen, niet, sem, nao, "
    "none, free"
)
BEFORE: Final = "pre, before, prior, vor, avant, antes, prima, voor, pra, prae"
WITH: Final = "with, w, mit, avec, con, met, com, plus"
AFTER: Final = "post, after, nach, apres, tras, despues, dopo, na, apos, pos, following"
CONTRAST: Final = (
    "contrast, contrasts, contraste, contrasto, kontrast, kontrastmittel, contrastmiddel, contrastvloeistof, km, mdc, "
    "mezzo di contrasto, mezzo contrasto, medio de contraste, meio de contraste, produit de contraste, "
    "contrast media, contrast medium, contrast agent, contrast material, civ, injection, inj, injecte, injectee, "
    "enhanced, enhancement, post con, postcon, m km, mkm, cmdc, kontrast*, contrastversterkt, rehausse, cect, ce, c+, "
    "iv+, pdc, gad, gado, gadolinium, gadolinio, gd, infused, contrasted, gespritzt, contrastado, contrastada, 造影, "
    "造影剤, 造影後, 造影ct, 조영, 조영제, 조영후, 조영증강, 조영증강후"
)
BOTH: Final = (
    "wwo, wow, w wo, wo w, c- c+, c+ c-, iv- iv+, 造影前後, 単純造影, 造影単純, 조영전후, 조영증강전후, prepost, "
    "pre post"
)
"""With and without contrast agent: names no phase."""
INTRAVENOUS: Final = (
    "iv, i v, ev, e v, intravenous, intra venous, intravenos*, intravenoes*, intra venos*, intraveineu*, intraveneu*, "
    "intraveneuze, endovenos*, endo venos*, endoveineu*, endovenous, 静注, 정맥내, 정맥주사, 경정맥"
)
"""The way of an injection, not the venous phase."""
NOT_INTRAVENOUS: Final = (
    "oral, orale, orales, orally, orals, oraal, po, rectal, rektal, rettale, enteral, enteric, 経口, 경구"
)

NO_PHASE: Final = (
    # of veins alone
    "venograph*, venograf*, phlebo*, flebo*, ctv, mrv, "
    # planning and timing
    "localizer, localiser, lokalizer, lokaliser, scout, topogram*, surview, scanogram*, scano, survey, pilot, "
    "monitor*, premonitor*, pramonitor*, praemonitor*, tracking, tracker, trigger, triggering, bolus, testbolus, "
    "carebolus, bolustrack*, smartprep, surestart, sureprep, timing, reperage, localizador, localizzatore, scoutview, "
    "centratura, 位置決め, 位置決め画像, スカウト, ボーラス, 위치결정, 스카우트, 로컬라이저, 보러스, "
    # what is no image of the body
    "report, reports, dose report, dose info, dose summary, dose sheet, summary, screenshot, screen save, "
    "dosisbericht, dosisprotokoll, 線量, 선량, drr, beam, portal imaging, portal image, portal images, epid, "
    "isocenter, setup, "
    # maps and results of a computation
    "map*, mapping, cartograph*, parametr*, perf, perfusion*, perfusie, perfusao, perfusione, 灌流, 관류, cbf, cbv, "
    "mtt, ttp, tmax, subtraction*, subtract*, subtracted, subtraktion*, soustraction, sustraccion, sottrazione, "
    "subtracao, subtractie, sub, minus, サブトラクション, 감산, iodine, iodo, iode, jod, jodkarte, iodmap, virtual, "
    "virtuell*, virtuel*, virtuale, virtueel, vnc, vni, vue, 仮想, 가상, ecv, molli, shmolli, difference, washin, "
    "washout map, fused, fusion, z eff, zeff, adc, dwi, "
    # what magnetic resonance and cardiology call late, delayed, native, arterial
    "lge, psir, dgemric, late gadolinium, late gad, late enhancement, delayed enhancement, delayed gadolinium, "
    "late contrast enhancement, delayed hyperenhancement, delayed contrast enhancement, myocardial delayed, "
    "rehaussement tardif, prise de contraste tardive, realce tardio, captacion tardia, enhancement tardivo, "
    "potenziamento tardivo, impregnazione tardiva, late aankleuring, late aankleuringsfase, late anreicherung, "
    "spate anreicherung, spatanreicherung, spatenhancement, 遅延造影, 지연조영, 지연조영증강, asl, spin label*, "
    "spin labeling, spin labelling, arterial input, aif, vasc input, hepatobiliary, hepatobiliar*, hepatobili*, hbp, "
    "leberspezifisch*, 肝細胞相, 肝細胞造影相, 간담도기, 간세포기, diastol*, systol*, sistol*, cine, cardiac phase, "
    "trigger delay, ctpa, dsa, angiogram venous, pulmonary arterial, pulmonary artery, pulmonary arteries, "
    "pulmonary venous, pulmonary vein, pulmonary veins, pulmonalarter*, pulmonalven*, pulmonalarteriell*, "
    "pulmonal arteriell*, pulmonal venos*, arterielle pulmonal*, arteria pulmonar, arterial pulmonar, "
    "arteriosa polmonare, 肺動脈, 肺静脈, 폐동맥, 폐정맥"
)
"""Images of no contrast phase, whatever else their description says; the order of times leaves them out."""

OTHER_MEANING: Final = (
    "contrast allergy, contrast reaction, km allergie, corticomedullary diff*, cortico medullary diff*, "
    "native kidney, native kidneys, native valve, native valves, native vessel, native vessels, native heart, "
    "native aorta, native artery, native arteries, native lung, native lungs, native hip, native joint, native knee, "
    "native coronar*, native renal, native bladder, native t1 map, rein natif, reins natifs, rinon nativo, "
    "rene nativo, eigenniere, eigennieren, art der, art des, art of, art d, art und, state of the art, art hepat*, "
    "art renal*, art femoral*, art carot*, art pulm*, art iliac*, art coronar*, art mesent*, art splen*, art lienal*, "
    "a hepatica, portal vein, portal veins, vena porta, veine porte, v portae, venous sinus*, venous drainage, "
    "venous access, venous line, venous reflux, venous insuff*, excretory urography, excretory urogram, simple cyst, "
    "simple cysts, quiste simple, kyste simple, cisti semplice, cisto simples, einfache zyste, portal venous thromb*, "
    "portal venous system, portal venous gas, portal venous hypertens*, hypertens*, hipertens*, ipertens*, "
    "hypertonie, thromb*, tromb*, stenos*, estenos*, occlu*, oclus*, verschluss*, inflow, malform*, fistel, fistul*, "
    "aneurys*, aneurism*, aneurysma, dissect*, dissekt*, diseccion, disease, krankheit*, maladie, enfermedad, "
    "malattia, doenca, ziekte, insuffi*, insufi*, shunt, catheter*, kathet*, cateter*, cathet*, port, access, line, "
    "duplex, doppler, ulcer*, ulkus, union, fracture, puberty, development*, emptying, delayed bleed, "
    "delayed bleeding, delayed hemorrhage, growth, film, radiograph*, xray, x ray, rx, embolie*, embolism*, "
    "cavernom*, varic*, triad, hilum, hilar, ganglia, ganglion, ganglios, gangli, nuclei, cistern*, varices, 血栓, "
    "血栓症, 塞栓, 狭窄, 閉塞, 動脈瘤, 解離, 奇形, 亢進, 肝動脈瘤, 大動脈瘤, ヘルペス, 嚢胞, 혈전, 혈전증, 색전, "
    "협착, 폐쇄, 동맥류, 박리, 기형, 고혈압, 발달지연, 성장지연"
)
"""Beside these the words of a phase mean a vessel, an illness, an instrument, an organ."""

ARTICLES: Final = (
    "de, du, d, l, la, le, les, des, do, da, dos, das, di, della, dell, of, the, a, an, el, il, lo, los, las, der, "
    "die, dem, den, van, het, een, im, in, to, for, fur, au, aux, al, am, zur, zum, os, per, by, at, の, 의, と, 와, "
    "및, and, y, e, et, und, en, u, puis, then, onder"
)

ABDOMEN: Final = (
    "abdomen, abd, abdominal, abdo, abdome, addome, ap, cap, tap, tapp, abdopel, abdpel, abdpelvis, pelvis, pelvic, "
    "pel, pelv, becken, bassin, bekken, bacino, pelve, bacia, liver, leber, foie, higado, fegato, lever, figado, "
    "lebr, hep, kidney, kidneys, renal, niere, nieren, rein, reins, rinon, rinones, rene, reni, nier, rim, rins, kub, "
    "pancreas, pankreas, pancreat*, pankreat*, pancreatic, spleen, milz, rate, bazo, milza, milt, baco, adrenal*, "
    "nebenniere*, surrenal*, suprarren*, surrene, surreni, bijnier*, bladder, blase, harnblase, vessie, vejiga, "
    "vescica, blaas, bexiga, urinary, urinario, uro, ct urogram, urogram, bowel, darm, intestine, colon, entero*, "
    "biliary, bile, galle, oberbauch, unterbauch, bauch, upper abdomen, lower abdomen, aaa, ureter*, uretere, gu, gi, "
    "hcc, ivu, torax abdomen, 腹部, 上腹部, 全腹部, 腹, 骨盤, 腹部骨盤, 肝, 肝臓, 腎, 腎臓, 膵, 膵臓, 脾, 副腎, 膀胱, "
    "尿路, 胆, 胆嚢, 胆道, 肝胆膵, 복부, 상복부, 골반, 복부골반, 간, 간장, 신장, 콩팥, 췌장, 비장, 부신, 방광, 요로, "
    "담도, 담낭"
)
CHEST: Final = (
    "chest, thorax, torax, torace, thoracic, thorakal, lung, lungs, lunge, poumon, poumons, pulmon, pulmones, "
    "polmoni, polmone, long, longen, pulmao, pulmoes, trunk, body, rumpf, stamm, tc torace, mediastin*, thx, thor, "
    "whole body, ganzkorper, trauma, polytrauma, aorta, aortic, aorten, aorte, aortico, eso*, breast, mama, brust, "
    "mamma, sein, lung bases, base, bases, torso, 胸部, 胸, 胸腹部, 体幹, 全身, 大動脈, 乳腺, 肺, 흉부, 가슴, 흉복부, "
    "대동맥, 전신, 유방, 폐"
)
ELSEWHERE: Final = (
    "gelenk*, kiefer*, articul*, joint, joints, arthro*, beinven*, lower limb, upper limb, "
    "head, brain, skull, kopf, schadel, hirn, gehirn, cerebral, cerebrum, crane, cerveau, cerebro, craneo, cabeza, "
    "encefalo, cranio, testa, capo, cervello, hersenen, schedel, hoofd, cabeca, neck, hals, cou, cuello, collo, "
    "pescoco, carotid*, karotis, spine, wirbelsaule, columna, colonna, coluna, rachis, wervelkolom, sinuses, orbit*, "
    "face, facial, leg, legs, bein, beine, jambe*, pierna*, gamba, gambe, been, benen, perna*, runoff, run off, "
    "extremit*, knee, hip, shoulder, knie, hufte, schulter, genou, rodilla, ginocchio, joelho, arm, arms, hand, foot, "
    "ankle, wrist, elbow, femur, femoral, 頭部, "
    "脳, 頚部, 頸部, 頭頚部, 頭, 頸, 下肢, 上肢, 膝, 脊椎, 두부, 뇌, 경부, 목, 하지, 상지, 무릎"
)
"""Regions. A venous phase of head, neck or limbs is no portal venous phase."""
HEART: Final = (
    "heart, herz, coeur, corazon, cuore, hart, coracao, cardiac, cardiaque, cardiaco, cardiaca, cardio*, kardial, "
    "kardio*, coronar*, koronar*, myocard*, myokard*, miocard*, atrium, atria, vorhof, ventricle, ventricular, "
    "ventrikel, viability, vitalitat, sa, sax, lax, 2ch, 3ch, 4ch, lvot, rvot, 心臓, 心筋, 冠動脈, 심장, 심근, "
    "관상동맥"
)
"""A word beside the heart is no phase of the trunk."""

TECHNIQUE: Final = (
    "ct, cta, mra, angio, vessels, gefasse, vascular, "
    "mr, mri, mrt, tc, tdm, tac, rm, irm, tm, scan, scanner, scans, serie, series, ax, axial, "
    "axiaal, tra, trans, transversal, transverse, transv, cor, coronal, coronaal, koronar, sag, sagittal, sagittaal, "
    "sagital, coro, obl, mpr, mip, minip, vrt, thin, thick, thins, thn, slice, slices, dunn, dick, dunne, fino, fina, "
    "fine, finas, sottile, fin, fins, recon, recons, reconstruction, rekonstruktion, reco, rec, ricostruzione, soft, "
    "tissue, soft tissue, weichteil, weichteile, weich, bone, knochen, os, hueso, osso, bot, std, stnd, standard, "
    "stand, kernel, sharp, smooth, medium, mm, cm, kv, kev, ma, hr, hrct, asir, asirv, idose, safire, admire, aidr, "
    "fbp, ir, mbir, veo, prone, supine, bauchlage, inspiration, insp, expiration, exp, breath, breathhold, bh, "
    "breath hold, fb, vibe, lava, thrive, ethrive, dixon, fs, fatsat, fat, sat, water, wasser, flex, twist, disco, "
    "starvibe, caipi, grasp, spgr, flash, fl, gre, fse, tse, dect, stir, haste, sense, mdixon, quick, delta, dce, "
    "mono, monoenergetic, monoenergetisch*, vmi, virtual mono, virtual monoenergetic, mixed, spectral, conventional, "
    "image, images, img, bild, imagen, imagem, immagini, protocol, protokoll, protocole, protocolo, protocollo, "
    "routine, control, baseline, mass, study, exam, untersuchung, onco, oncology, onko, acquisition, acq, aufnahme, "
    "acquisizione, opname, adquisicion, aquisicao, staging, p i, pi, s/, raw, original, orig, full, fov, dfov, only, "
    "left, right, upper, lower, hd, sd, ld, low, high, res, vol, volume, helical, spiral, spirale, helicoidal, "
    "vollstandig, delay <s>, <s> delay, <s> delayed scan, scan delay, scandelay, <s> verzogerung, <s> p i, extra, "
    "add, additional, tilt, nr, no 1, 撮影, 像, 画像, スライス, 再構成, 冠状断, 横断, 軸位, 矢状断, 厚, 薄, 영상, "
    "촬영, 재구성, 관상면, 축상면, 시상면, 축상, 관상, 시상"
)
"""Words of region and technique; beside nothing but these, a common word means the phase."""

NO_AGENT: Final = (
    "no, none, n, 0, n/a, na, nil, nihil, not given, not applicable, no contrast, none given, non contrast, without, "
    "w/o, without contrast, ohne, ohne km, kein, kein km, keine, keines, nativ, native, plain, nein, sans, "
    "sans injection, non, aucun, aucune, sin, sin contraste, ninguno, ninguna, senza, senza mdc, nessuno, no mdc, "
    "zonder, geen, blanco, sem, sem contraste, nenhum, nao, なし, 無し, 無, 非造影, 単純, 造影なし, 없음, 무, 비조영, "
    "unenhanced"
)
"""Contents of Contrast/Bolus Agent where none was given."""
ORAL_AGENT: Final = (
    "oral, per os, po, oral contrast, oral only, water, wasser, eau, agua, acqua, barium, bario, baryum, "
    "gastrografin, gastrolux, gastroview, telebrix gastro, micropaque, readi cat, readicat, volumen, breeza, "
    "mannitol, peritrast oral, oral km, rectal, rektal, orale"
)
"""Agents that are drunk: no sign of an injection, and none against it."""
